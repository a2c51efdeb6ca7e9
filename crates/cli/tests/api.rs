//! `portcullis api` as a process: what it explains, what it refuses, and calls over HTTP and TLS.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis_testkit::client::Way;
use portcullis_testkit::lab::product::Product;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");
const PATIENCE: Duration = Duration::from_secs(20);

fn explain(arguments: &[&str]) -> (i32, String) {
    let output = std::process::Command::new(PROGRAM)
        .args(arguments)
        .env("PORTCULLIS_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn the_tables_are_explained_without_a_server() {
    for arguments in [&["api"][..], &["api", "--help"], &["api", "-h"]] {
        let (status, said) = explain(arguments);
        assert_eq!(status, 0);
        assert!(said.contains("\nUsage: portcullis api [OPTIONS] ACTION"), "{said}");
        assert!(said.contains("\nAuthorizeSecurityGroupEgress "), "{said}");
    }
    let of_action = ["api", "AuthorizeSecurityGroupEgress", "--help"];
    for arguments in [of_action, ["api", "--help", "AuthorizeSecurityGroupEgress"]] {
        let (status, said) = explain(&arguments);
        assert_eq!(status, 0);
        assert!(said.starts_with("AuthorizeSecurityGroupEgress (Ecs)\n"), "{said}");
        assert!(said.contains("\n  DestCidrIp (text)\n"), "{said}");
    }
    for (name, product, other) in
        [("TagResources", "Ecs", "Vpc"), ("Vpc.TagResources", "Vpc", "Ecs")]
    {
        let (_, said) = explain(&["api", name, "--help"]);
        assert!(said.starts_with(&format!("TagResources ({product})\n")), "{said}");
        assert!(said.contains(&format!("this name is `{other}.TagResources`")), "{said}");
    }
}

#[test]
fn what_cannot_be_called_is_named() {
    for (arguments, expected) in [
        (&["api", "Nonesuch"][..], "error[NoSuchAction]: there is no action `Nonesuch`"),
        (&["api", "CreateVpc", "CidrBlok=x"], "CreateVpc has no parameter `CidrBlok`"),
        (&["api", "CreateVpc", "CidrBlock"], "`CidrBlock` has no `=`"),
        (&["api", "CreateVpc", "--CidrBlock"], "`--CidrBlock` has no value"),
        (&["api", "CreateVpc", "A.1=x"], "CreateVpc has no parameter `A.1`"),
        (&["api", "--endpoint", "nowhere", "CreateVpc"], "error[BadEndpoint]: `nowhere`"),
        (&["api", "--data", "/nowhere", "CreateVpc"], "error[NoAccessKey]: "),
        (&["api", "Nonesuch.TagResources"], "there is no action `Nonesuch.TagResources`"),
        (&["api", "Ecs.CreateVpc"], "there is no action `Ecs.CreateVpc`"),
    ] {
        let (status, said) = explain(arguments);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("\n  help: "), "{said}");
    }
}

#[test]
fn half_a_key_is_not_made_whole_from_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["PORTCULLIS_ACCESS_KEY_ID", "PORTCULLIS_ACCESS_KEY_SECRET", "PORTCULLIS_SECURITY_TOKEN"];
    let [id, secret, token] = names;
    let root = format!("{id}=root\n{secret}=root\n");
    std::fs::write(folder.path().join("credentials"), root).unwrap();
    for (set, unset) in [(id, secret), (secret, id), (token, id)] {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["api", "--endpoint", "http://127.0.0.1:1", "--data"]).arg(folder.path());
        command.arg("DescribeRegions").env("PORTCULLIS_CONFIG", "/dev/null");
        names.iter().for_each(|name| _ = command.env_remove(name));
        let output = command.env(set, "x").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("{set} is set and {unset} is not")), "{said}");
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

/// Calls with the key of the product's environment.
fn call(product: &Product, arguments: &[&str]) -> Output {
    let address = product.client(Way::Form).unwrap().address;
    let endpoint = format!("http://{address}");
    let all = [&["api", "--endpoint", &endpoint], arguments].concat();
    product.try_run(&all).unwrap()
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_call_is_signed_answered_or_refused() {
    let product = Product::start(Path::new(PROGRAM), None, &["--no-agent"]).unwrap();
    let made =
        json(&call(&product, &["CreateVpc", "--CidrBlock", "10.0.0.0/16", "VpcName=a b+=&"]));
    let vpc = made["VpcId"].as_str().unwrap();
    let found = json(&call(&product, &["DescribeVpcs", &format!("--VpcId={vpc}")]));
    assert_eq!(found["Vpcs"]["Vpc"][0]["VpcName"], "a b+=&");
    let tags = ["CreateSecurityGroup", "--VpcId", vpc, "--Tag.1.Key", "k", "--Tag.1.Value", "v"];
    json(&call(&product, &tags));
    let tags = ["--ResourceType", "VPC", "--ResourceId.1", vpc, "--Tag.1.Key", "k"];
    json(&call(&product, &[&["Vpc.TagResources"][..], &tags].concat()));
    let listed = json(&call(&product, &[&["vpc.ListTagResources"][..], &tags[..4]].concat()));
    assert_eq!(listed["TagResources"]["TagResource"][0]["TagKey"], "k");
    let refused = call(&product, &["DescribeSecurityGroupAttribute", "--SecurityGroupId", "sg-x"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with("error[Refused]: InvalidSecurityGroupId.NotFound (404): "), "{said}");
    assert!(said.contains("\n  at request "), "{said}");
    let nobody = product.try_run(&["api", "--endpoint", "http://127.0.0.1:1", "DescribeRegions"]);
    let nobody = nobody.unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8(nobody.stderr).unwrap().starts_with("error[NoAnswer]: cannot reach"));
}

/// Writes a certificate of its own making for loopback.
fn make_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn tls_is_answered_and_a_hang_up_reads_the_certificate_again() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let trusted = folder.path().join("trusted.pem");
    let certificate = folder.path().join("cert.pem");
    std::fs::copy(&certificate, &trusted).unwrap();
    let key = folder.path().join("key.pem");
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let flags = ["--no-agent", "--tls-cert", certificate, "--tls-key", key];
    let mut product = Product::start(Path::new(PROGRAM), None, &flags).unwrap();
    let address = product.client(Way::Form).unwrap().address;
    let endpoint = format!("https://{address}");
    let call = |product: &Product, more: &[&str]| {
        let all = [&["api", "--endpoint", &endpoint], more, &["DescribeRegions"]].concat();
        product.try_run(&all).unwrap()
    };
    let trusting = ["--ca-cert", trusted.to_str().unwrap()];
    json(&call(&product, &trusting));
    product.client(Way::Form).unwrap().call("DescribeRegions", &[]).unwrap();
    let blind = call(&product, &[]);
    assert!(String::from_utf8(blind.stderr).unwrap().contains("--ca-cert FILE"));

    let process = Pid::from_raw(product.process().unwrap().try_into().unwrap());
    let hang_up = |product: &Product, expected: &str| {
        kill(process, Signal::SIGHUP).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !product.log().contains(expected) {
            assert!(Instant::now() < deadline, "{}", product.log());
            std::thread::yield_now();
        }
    };
    let kept = std::fs::read(key).unwrap();
    std::fs::write(key, "no key").unwrap();
    hang_up(&product, "the old certificate stays in use");
    json(&call(&product, &trusting));
    std::fs::write(key, kept).unwrap();
    make_certificate(folder.path());
    hang_up(&product, "the certificate is read again");
    assert!(!call(&product, &trusting).status.success());
    json(&call(&product, &["--ca-cert", certificate]));
    product.terminate().unwrap();

    std::fs::write(key, "no key").unwrap();
    let error = product.resume().unwrap_err();
    assert!(error.contains("error[CannotStart]: cannot read a private key in"), "{error}");
}
