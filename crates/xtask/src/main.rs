//! Every chore of the project, one subcommand each. It runs cargo, compilers and other programs; it
//! knows nothing of the product's code but its files.

mod bench;
mod check;
mod conformance;
mod datapath;
mod demo;
mod deny;
mod differential;
mod fuzz;
mod run;
mod tally;
mod terraform;
mod tidy;

use std::process::ExitCode;

/// What a chore answers: nothing, or the sentence that says what went wrong.
type Outcome<T> = Result<T, String>;

/// One subcommand of `./x`.
struct Chore {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome<()>,
}

/// The list of chores: help, dispatch and the check of the documents all read it.
const CHORES: &[Chore] = &[
    Chore {
        name: "demo",
        usage: "demo [--keep]",
        help: "instances and an outside host in namespaces; real packets, passed or dropped",
        run: demo::run,
    },
    Chore {
        name: "test",
        usage: "test [--all]",
        help: "format, lints, documentation, tidy, kernel object and every test",
        run: check::test,
    },
    Chore {
        name: "ci",
        usage: "ci",
        help: "exactly what the build machine runs: test, conformance, deny",
        run: check::ci,
    },
    Chore {
        name: "conformance",
        usage: "conformance [CLIENT...] | conformance terraform [CLIENT...] [--record]",
        help: "real SDKs, unmodified, against a live server: every step of one scenario; or \
               Terraform's providers and the public cloud's command line, from start to end",
        run: |arguments| match arguments {
            [first, rest @ ..] if first == "terraform" => terraform::run(rest),
            arguments => conformance::run(arguments),
        },
    },
    Chore {
        name: "bench",
        usage: "bench SUITE [--rounds N] [--seed N] [--json FILE] [--only PART] [--quick]",
        help: "interleaved rounds against rivals; without SUITE lists the suites",
        run: bench::run,
    },
    Chore {
        name: "differential",
        usage: "differential [--pairs N] [--seed N] [--threads N]",
        help: "random packets through reference, tables and kernel program; 10^8 unless told",
        run: differential::run,
    },
    Chore {
        name: "endurance",
        usage: "endurance [--swaps N] [--deaths N] [--flood N] [--seed N]",
        help: "policies swapped under load, an agent killed 1,000 times, floods at a full table",
        run: differential::endurance,
    },
    Chore {
        name: "fuzz",
        usage: "fuzz [TARGET ...] [--seconds N]",
        help: "every decoder against made-up inputs, a minute each; for the night",
        run: fuzz::run,
    },
    Chore {
        name: "tidy",
        usage: "tidy",
        help: "arrows between crates, sizes, opening paragraphs, dead paths in documents",
        run: tidy::run,
    },
    Chore {
        name: "deny",
        usage: "deny",
        help: "licences, bans and sources of all dependencies (cargo-deny, installed when absent)",
        run: deny::run,
    },
    Chore {
        name: "datapath",
        usage: "datapath [--write]",
        help: "recompile the kernel program and compare it with the object in the repository",
        run: datapath::run,
    },
    Chore { name: "help", usage: "help", help: "this list", run: help },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.collect();
    let name = if name == "--help" || name == "-h" { "help" } else { name.as_str() };
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        eprintln!("./x knows no `{name}`; `./x help` lists what it knows");
        return ExitCode::from(2);
    };
    match (chore.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("./x {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn help(_arguments: &[String]) -> Outcome<()> {
    println!("usage: ./x COMMAND\n");
    for chore in CHORES {
        println!("  ./x {}\n        {}", chore.usage, chore.help);
    }
    Ok(())
}
