//! `./x datapath`: has the kernel program compiled from its C source and compares the result, byte
//! for byte, with the object kept in the repository. How it is compiled only `datapath/build.sh`
//! knows, and nothing is loaded into a kernel here.
//!
//! Another version of clang makes other bytes, so the version that made the object is recorded
//! beside it, and only that version can say that the object is what the source says.

use crate::{Outcome, run};
use std::path::{Path, PathBuf};

const BUILD: &str = "datapath/build.sh";
const SOURCE: &str = "datapath/portcullis.bpf.c";
const OBJECT: &str = "datapath/portcullis.bpf.o";
const COMPILER_RECORD: &str = "datapath/portcullis.bpf.clang";
/// One header stands for all of libbpf's.
const HEADERS: &str = "/usr/include/bpf/bpf_helpers.h";

/// What a comparison can say when nothing is wrong.
pub(crate) enum Verified {
    Same,
    NotRun(String),
}

/// `./x datapath` compares, `./x datapath --write` replaces the object and the record.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    match arguments {
        [] => match verify()? {
            Verified::Same => {
                println!("{OBJECT} is what {SOURCE} compiles to");
                Ok(())
            }
            Verified::NotRun(reason) => Err(reason),
        },
        [only] if only == "--write" => write(),
        _ => Err("takes nothing but --write".to_owned()),
    }
}

/// Compiles to a scratch file and compares.
pub(crate) fn verify() -> Outcome<Verified> {
    let root = run::root();
    let recorded = read_text(&root.join(COMPILER_RECORD))?;
    let recorded = recorded.trim();
    let Some(clang) = compiler_of_version(recorded) else {
        return Ok(Verified::NotRun(format!(
            "the object was made by `{recorded}`, which is not installed here"
        )));
    };
    if !Path::new(HEADERS).exists() {
        return Ok(Verified::NotRun("libbpf's headers are missing (libbpf-dev)".to_owned()));
    }
    let Some(strip) = strip_beside(&clang) else {
        return Ok(Verified::NotRun("llvm-strip is missing (llvm)".to_owned()));
    };
    let scratch = run::target_directory()?.join("portcullis.bpf.o");
    compile(&clang, &strip, &scratch)?;
    let (made, kept) = (read(&scratch)?, read(&root.join(OBJECT))?);
    if made == kept {
        return Ok(Verified::Same);
    }
    Err(format!(
        "{OBJECT} ({} bytes) is not what {SOURCE} compiles to with {clang} ({} bytes); \
         after a change of the source run: ./x datapath --write",
        kept.len(),
        made.len()
    ))
}

fn write() -> Outcome<()> {
    let root = run::root();
    let clang = ["clang-14", "clang"].into_iter().find(|name| version(name).is_some());
    let clang = clang.ok_or("clang is missing (clang)")?;
    let strip = strip_beside(clang).ok_or("llvm-strip is missing (llvm)")?;
    let made_by = version(clang).ok_or("clang names no version")?;
    compile(clang, &strip, &root.join(OBJECT))?;
    let record = root.join(COMPILER_RECORD);
    std::fs::write(&record, format!("{made_by}\n"))
        .map_err(|error| format!("{}: {error}", record.display()))?;
    println!("wrote {OBJECT}, made by {made_by}");
    Ok(())
}

fn compile(clang: &str, strip: &str, to: &Path) -> Outcome<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut command = run::command(BUILD, &[]);
    command.arg(to).env("CLANG", clang).env("LLVM_STRIP", strip);
    run::must_succeed(command)
}

/// The name under which a compiler of exactly this version can be started.
fn compiler_of_version(wanted: &str) -> Option<String> {
    let major = wanted.split("version ").nth(1)?.split('.').next()?;
    let names = [format!("clang-{major}"), "clang".to_owned()];
    names.into_iter().find(|name| version(name).as_deref() == Some(wanted))
}

/// The first line that the compiler prints about itself.
fn version(clang: &str) -> Option<String> {
    let output = run::command(clang, &["--version"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::trim).map(str::to_owned)
}

fn strip_beside(clang: &str) -> Option<String> {
    let suffix = clang.strip_prefix("clang").unwrap_or_default();
    let names = [format!("llvm-strip{suffix}"), "llvm-strip".to_owned()];
    names.into_iter().find(|name| {
        run::command(name, &["--version"]).output().is_ok_and(|output| output.status.success())
    })
}

fn read(path: &PathBuf) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_text(path: &PathBuf) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
