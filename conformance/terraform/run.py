"""Drives real clients, as they are released, against a real server: `./x conformance terraform`.

For each Terraform provider: apply, a plan that has nothing to do, a change in place, again such a
plan, import of everything into an empty state, such a plan there, destroy. For the command line of
the public cloud: the commands of `docs/guide/cli.md`. Those named `…-tls`, and `alicloud`, which
knows nothing else, speak TLS straight with a server that answers nothing else; its certificate is
from an authority of our own, which is all that the clients trust. All of it happens in a network
namespace with nothing but the loopback device, so that no client can ask anybody else. With
`--record` a recorder stands between client and server and the exchanges become cases of
`cases/api/recorded`.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import record

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSIDE = "PORTCULLIS_CONFORMANCE_INSIDE"
KEY, SECRET = "guide-key", "guide-secret"
# The guide's.
ADDRESS = ("127.0.0.1", 18080)
CASES = ROOT / "cases/api/recorded"
START_TIMEOUT_S, COMMAND_TIMEOUT_S = 30, 900
# `terraform plan -detailed-exitcode` says with this that there is something to do.
CHANGES = 2


class Failed(Exception):
    """What went wrong, in a sentence."""


class Clients:
    """Where the programs are."""

    def __init__(self, folder):
        self.path = os.pathsep.join([*([folder] if folder else []), os.environ["PATH"]])

    def find(self, *names):
        """The first that is there; all of them are named when none is."""
        found = next(filter(None, (shutil.which(name, path=self.path) for name in names)), None)
        if not found:
            raise Failed(f"no program {' or '.join(names)} on PATH or in --clients")
        return found


def call(command, *, env, cwd, allowed=(0,)):
    """Runs a command; what it printed is shown when it fails."""
    done = subprocess.run(
        command, env=env, cwd=cwd, text=True, timeout=COMMAND_TIMEOUT_S,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if done.returncode not in allowed:
        shown = " ".join(map(str, command)).partition("\n")[0]
        raise Failed(f"`{shown}` ended with {done.returncode}:\n{done.stdout}")
    return done


class Certificates:
    """An authority of our own and what it gave to the server, made as the guide says."""

    def __init__(self, folder):
        self.authority, self.chain, self.key = (
            folder / name for name in ("authority.pem", "server.pem", "server.key")
        )
        page = (ROOT / "docs/guide/terraform.md").read_text()
        made = next(fence for fence in fences(page) if "openssl" in fence)
        call(["bash", "-ec", made], env=dict(os.environ), cwd=folder)


def fences(page):
    """The commands of a page that are run here, those of a fence as one script."""
    for fence in page.split("```console long\n")[1:]:
        lines = fence.partition("\n```")[0].splitlines()
        yield "\n".join(line.removeprefix("$ ").removeprefix("> ") for line in lines)


@contextlib.contextmanager
def server(program, folder, certificates, tls_only):
    """A server with nothing in it, that answers TLS, and plain HTTP unless told otherwise."""
    data = folder / "data"
    env = {
        "PATH": os.environ["PATH"],
        "PORTCULLIS_ACCESS_KEY_ID": KEY,
        "PORTCULLIS_ACCESS_KEY_SECRET": SECRET,
    }
    listen = "%s:%d" % ADDRESS
    command = [program, "serve", "--no-agent", "--listen", listen, "--data", str(data)]
    command += ["--tls-cert", str(certificates.chain), "--tls-key", str(certificates.key)]
    command += ["--tls-only"] if tls_only else []
    with open(folder / "serve.log", "w") as log:
        running = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(f"http://{listen}/"):
            if running.poll() is not None or time.monotonic() > deadline:
                raise Failed("the server did not start:\n" + (folder / "serve.log").read_text())
            time.sleep(0.05)
        yield listen
    finally:
        running.terminate()
        running.wait()


def answers(url):
    """Whether anything answers there."""
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Terraform:
    """One provider and its configuration."""

    def __init__(self, name, clients, address, folder, env, protocol=None):
        self.terraform = clients.find("terraform", "tofu")
        plugin = pathlib.Path(clients.find(f"terraform-provider-{name}"))
        self.name, self.address, self.folder = name, address, folder
        self.protocol = protocol
        # The provider is taken from a file: no registry is asked.
        settings = folder / "terraform.rc"
        settings.write_text(
            f'provider_installation {{\n  dev_overrides {{\n    "aliyun/{name}" = '
            f'"{plugin.parent}"\n  }}\n  direct {{}}\n}}\n'
        )
        self.env = dict(
            env, TF_CLI_CONFIG_FILE=str(settings), TF_VAR_portcullis=address,
            TF_IN_AUTOMATION="1", TF_INPUT="0", CHECKPOINT_DISABLE="1",
        )

    def run(self):
        """From nothing to nothing."""
        first = self.working("first")
        self.apply(first)
        self.settled(first)
        self.changed_in_place(first)
        self.apply(first, "-var", "change=true")
        self.settled(first, "-var", "change=true")
        second = self.working("second")
        for address, id in self.resources(first):
            self.tf(second, "import", "-no-color", "-var", "change=true", address, id)
        self.settled(second, "-var", "change=true")
        self.tf(second, "destroy", "-no-color", "-auto-approve", *SERIAL)
        left = [address for address, _ in self.resources(second)]
        if left:
            raise Failed(f"left behind: {left}")

    def working(self, name):
        """A folder with the configuration and a state of its own."""
        folder = self.folder / name
        shutil.copytree(HERE / self.name, folder)
        if self.protocol:
            provider = folder / "provider.tf"
            line = re.compile(r'(protocol +=) "HTTP"')
            text, times = line.subn(rf'\1 "{self.protocol}"', provider.read_text())
            if times != 1:
                raise Failed(f"no line to change in {provider}")
            provider.write_text(text)
        return folder

    def tf(self, folder, *arguments, allowed=(0,)):
        start = time.monotonic()
        command = [self.terraform, *arguments]
        done = call(command, env=self.env, cwd=folder, allowed=allowed)
        print(f"  {arguments[0]}: {time.monotonic() - start:.1f} s", flush=True)
        return done

    def apply(self, folder, *variables):
        self.tf(folder, "apply", "-no-color", "-auto-approve", *SERIAL, *variables)

    def plan(self, folder, *variables):
        arguments = ["-no-color", "-detailed-exitcode", *SERIAL, *variables]
        return self.tf(folder, "plan", *arguments, allowed=(0, CHANGES))

    def settled(self, folder, *variables):
        done = self.plan(folder, *variables)
        if done.returncode == CHANGES:
            raise Failed(f"a plan with nothing to do would do something:\n{done.stdout}")

    def changed_in_place(self, folder):
        done = self.plan(folder, "-var", "change=true")
        summary = next(line for line in done.stdout.splitlines() if line.startswith("Plan: "))
        if not summary.startswith("Plan: 0 to add,") or not summary.endswith(" 0 to destroy."):
            raise Failed(f"more than a change in place:\n{done.stdout}")

    def resources(self, folder):
        """What the state holds: addresses and ids."""
        shown = self.tf(folder, "show", "-json").stdout
        state = json.loads(shown[shown.index("{"):]).get("values", {}).get("root_module", {})
        managed = [each for each in state.get("resources", []) if each["mode"] == "managed"]
        return [(each["address"], each["values"]["id"]) for each in managed]


# One after the other: a recording is then the same each time.
SERIAL = ["-parallelism=1"]


def terraform_env(key_name, secret_name, folder, **more):
    """The environment of a provider: nothing of this machine's but where programs are."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    names = {key_name: KEY, secret_name: SECRET, "HOME": str(home), "PATH": os.environ["PATH"]}
    return dict(names, **more)


def alicloud(clients, address, folder, authority):
    keys = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    env = terraform_env(*keys, folder, SSL_CERT_FILE=str(authority))
    Terraform("alicloud", clients, address, folder, env).run()


STACK_KEYS = ("ALIBABACLOUDSTACK_ACCESS_KEY", "ALIBABACLOUDSTACK_SECRET_KEY")


def alibabacloudstack(clients, address, folder, _authority):
    env = terraform_env(*STACK_KEYS, folder)
    Terraform("alibabacloudstack", clients, address, folder, env).run()


def alibabacloudstack_tls(clients, address, folder, authority):
    env = terraform_env(*STACK_KEYS, folder, SSL_CERT_FILE=str(authority))
    Terraform("alibabacloudstack", clients, address, folder, env, protocol="HTTPS").run()


def cli_tls(clients, address, folder, authority):
    """As below, without the word that says HTTP; and nothing at all without the authority."""
    cli(clients, address, folder, authority, tls=True)
    ask = [clients.find("aliyun"), "ecs", "DescribeRegions", "--region", "cn-hangzhou"]
    ask += ["--access-key-id", KEY, "--access-key-secret", SECRET, "--endpoint", address]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    call(ask, env=dict(env, SSL_CERT_FILE=str(authority)), cwd=folder)
    done = call(ask, env=env, cwd=folder, allowed=range(1, 256))
    if "x509" not in done.stdout:
        raise Failed(f"an unknown authority should be refused:\n{done.stdout}")


def cli(clients, address, folder, authority, tls=False):
    """The commands of the guide, in one shell that stops at the first that fails."""
    program = clients.find("aliyun")
    guide = (ROOT / "docs/guide/cli.md").read_text()
    commands = "\n".join(fences(guide)).splitlines()
    told = "trap 'echo \"this failed: $BASH_COMMAND\"' ERR"
    script = "\n".join(["set -Eeo pipefail", told, *commands])
    script = script.replace("%s:%d" % ADDRESS, address)
    if tls:
        script = script.replace(" --insecure", "")
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(pathlib.Path(program).parent), os.environ["PATH"]])
    env = {"PATH": path, "HOME": str(home), "SSL_CERT_FILE": str(authority)}
    call(["bash", "-c", script], env=env, cwd=folder)
    print(f"  {len(commands)} commands", flush=True)


DRIVERS = {
    "alicloud": alicloud,
    "alibabacloudstack": alibabacloudstack,
    "alibabacloudstack-tls": alibabacloudstack_tls,
    "cli": cli,
    "cli-tls": cli_tls,
}
# Those that come by plain HTTP.
PLAIN = ("alibabacloudstack", "cli")
# Those whose exchanges become cases: TLS changes none of them.
RECORDED = ("alicloud", "alibabacloudstack", "cli")


def drive(name, arguments, clients):
    """One client from start to end; returns the cases' text when recording."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        certificates = Certificates(folder)
        tls_only = name not in PLAIN and not arguments.record
        with server(arguments.portcullis, folder, certificates, tls_only) as listen:
            if not arguments.record:
                DRIVERS[name](clients, listen, folder, certificates.authority)
                return
            recorder = record.Recorder(ADDRESS, certificates.chain, certificates.key)
            try:
                DRIVERS[name](clients, recorder.address, folder, certificates.authority)
            finally:
                recorder.close()
                if arguments.raw:
                    raw = [each.__dict__ for each in recorder.exchanges]
                    (arguments.raw / f"{name}.json").write_text(json.dumps(raw, indent=1))
            write_case(name, recorder.exchanges)


def write_case(name, exchanges):
    writer = record.Writer(record.reads(HERE / "reads.txt"))
    text = writer.case(f"recorded: {name}, from nothing to nothing", exchanges)
    CASES.mkdir(exist_ok=True)
    opening = "# Recorded by `./x conformance terraform --record`; not edited by hand.\n\n"
    (CASES / f"{name}.case").write_text(opening + text)
    print(f"  {text.count(chr(10) + 'sent ')} exchanges of {len(exchanges)} recorded")
    for action in sorted(writer.unread):
        print(f"  reads.txt does not say what is read of {action}")
    for field in sorted(writer.absent):
        print(f"  not in the answer: {field}")


def enter_namespace(arguments):
    """Becomes this program in a network namespace that has nothing but the loopback device."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    inner = ["sh", "-c", 'ip link set lo up && exec "$0" "$@"', sys.executable, __file__]
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", *user, *inner, *arguments])


def main():
    if INSIDE not in os.environ:
        enter_namespace(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portcullis", required=True, help="the program under test")
    parser.add_argument("--clients", help="a folder that holds the providers and `aliyun`")
    parser.add_argument("--record", action="store_true", help="write cases/api/recorded anew")
    parser.add_argument("--raw", type=pathlib.Path, help="with --record: all exchanges, as JSON")
    parser.add_argument("clients_named", nargs="*", metavar="CLIENT", help=", ".join(DRIVERS))
    arguments = parser.parse_args()
    clients = Clients(arguments.clients)
    names = arguments.clients_named or (RECORDED if arguments.record else list(DRIVERS))
    failed = 0
    for name in names:
        print(name, flush=True)
        try:
            drive(name, arguments, clients)
        except Failed as error:
            failed += 1
            print(f"  failed: {error}", flush=True)
    passed = len(names) - failed
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
