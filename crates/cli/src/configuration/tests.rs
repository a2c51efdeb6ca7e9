//! That the layers are read in their order, and that errors name their places.

use std::ffi::OsString;
use std::net::Ipv4Addr;

use portcullis_agent::flow_log::FlowLogSettings;
use portcullis_agent::pinned::Switches;
use portcullis_core::ids::RegionId;
use portcullis_core::settings::{Quota, Quotas};
use portcullis_server::throttle::ThrottleRule;
use portcullis_wire::flow_event::EventName;

use super::*;

/// The configuration of a file, variables and flags, or the error's text.
fn read(file: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Configuration, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.toml");
    std::fs::write(&path, file).unwrap();
    let environment = |name: &str| {
        let found = variables.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let flags = Flags { config: Some(path), ..flags };
    Configuration::read(&flags, &environment)
        .map_err(|error| error.to_string().replace(&directory.path().display().to_string(), ""))
}

fn ids(texts: &[&str]) -> Vec<RegionId> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn defaults_come_last() {
    let expected = Configuration {
        listen: "127.0.0.1:8080".parse().unwrap(),
        metrics: None,
        data: "/var/lib/portcullis".into(),
        key_file: None,
        tls: None,
        regions: ids(&["cn-hangzhou", "cn-qingdao-env17-d01"]),
        quotas: Quotas::default(),
        throttle: vec![],
        no_agent: false,
        instance: "host".into(),
        hook: None,
        switches: Switches::default(),
        flow_log: None,
        binds: vec![],
    };
    assert_eq!(read("", &[], Flags::default()), Ok(expected.clone()));
    let empty = [("PORTCULLIS_LISTEN", ""), ("PORTCULLIS_REGION", "")];
    assert_eq!(read("", &empty, Flags::default()), Ok(expected));
}

#[test]
fn a_higher_layer_wins_value_by_value() {
    let file = "listen = '0.0.0.0:1'\ndata = '/f'\nkey-file = '/f.key'\n\
                region = ['r-f']\nno-agent = true\n\
                instance = 'f'\nhook = 'tcx'\npick-up-seconds = 1\ncheck-seconds = 3600\n\
                keep-established = true\nany-link-local = true\n\
                dhcp-server = ['10.0.0.1']\n\
                [[bind]]\ninterface = 'eni-1'\ndevice = 'veth1'\n";
    let from_file = read(file, &[], Flags::default()).unwrap();
    assert_eq!(from_file.listen, "0.0.0.0:1".parse().unwrap());
    assert_eq!(from_file.data, PathBuf::from("/f"));
    assert_eq!(from_file.key_file, Some(PathBuf::from("/f.key")));
    assert_eq!(from_file.regions, ids(&["r-f"]));
    assert!(from_file.no_agent);
    assert_eq!((from_file.instance.as_str(), from_file.switches.pick_up_s), ("f", 1));
    assert_eq!((from_file.hook, from_file.switches.check_s), (Some(Hook::Tcx), 3600));
    let bind = Bind { interface: "eni-1".parse().unwrap(), device: "veth1".parse().unwrap() };
    assert_eq!(from_file.binds, [bind]);

    let of_file = &from_file.switches;
    assert!(of_file.keep_established && of_file.any_link_local);
    assert_eq!(of_file.dhcp_servers, ["10.0.0.1".parse::<Ipv4Addr>().unwrap()]);

    let variables = [
        ("PORTCULLIS_LISTEN", "0.0.0.0:2"),
        ("PORTCULLIS_DATA", "/e"),
        ("PORTCULLIS_KEY_FILE", "/e.key"),
        ("PORTCULLIS_REGION", "r-e, r-g"),
        ("PORTCULLIS_NO_AGENT", "false"),
        ("PORTCULLIS_INSTANCE", "e"),
        ("PORTCULLIS_HOOK", "clsact"),
        ("PORTCULLIS_PICK_UP_SECONDS", "2"),
        ("PORTCULLIS_CHECK_SECONDS", "2"),
        ("PORTCULLIS_KEEP_ESTABLISHED", "false"),
        ("PORTCULLIS_ANY_LINK_LOCAL", "false"),
        ("PORTCULLIS_DHCP_SERVER", "10.0.0.2, 10.0.0.9"),
    ];
    let from_environment = read(file, &variables, Flags::default()).unwrap();
    assert_eq!(from_environment.listen, "0.0.0.0:2".parse().unwrap());
    assert_eq!(from_environment.data, PathBuf::from("/e"));
    assert_eq!(from_environment.key_file, Some(PathBuf::from("/e.key")));
    assert_eq!(from_environment.regions, ids(&["r-e", "r-g"]));
    assert!(!from_environment.no_agent);
    assert_eq!((from_environment.instance.as_str(), from_environment.switches.pick_up_s), ("e", 2));

    assert_eq!((from_environment.hook, from_environment.switches.check_s), (Some(Hook::Clsact), 2));

    let of_environment = &from_environment.switches;
    assert!(!of_environment.keep_established && !of_environment.any_link_local);
    assert_eq!(of_environment.dhcp_servers.len(), 2);

    let flags = Flags {
        listen: Some("[::1]:3".into()),
        data: Some("/a".into()),
        key_file: Some("/a.key".into()),
        region: vec!["r-a".into()],
        no_agent: true,
        instance: Some("a".into()),
        hook: Some("tcx".into()),
        pick_up_seconds: Some(0),
        check_seconds: Some(1),
        dhcp_server: vec!["10.0.0.3".into()],
        config: None,
        ..Flags::default()
    };
    let from_flags = read(file, &variables, flags).unwrap();
    assert_eq!(from_flags.listen, "[::1]:3".parse().unwrap());
    assert_eq!(from_flags.data, PathBuf::from("/a"));
    assert_eq!(from_flags.key_file, Some(PathBuf::from("/a.key")));
    assert_eq!(from_flags.regions, ids(&["r-a"]));
    assert!(from_flags.no_agent);
    assert_eq!((from_flags.instance.as_str(), from_flags.switches.pick_up_s), ("a", 0));
    assert_eq!((from_flags.hook, from_flags.switches.check_s), (Some(Hook::Tcx), 1));
    assert_eq!(from_flags.switches.dhcp_servers, ["10.0.0.3".parse::<Ipv4Addr>().unwrap()]);
    assert_eq!(from_flags.binds, from_environment.binds);
}

#[test]
fn tls_has_both_files_or_neither() {
    let files = |certificate: &str, key: &str| {
        Some(TlsFiles { certificate: certificate.into(), key: key.into(), only: false })
    };
    let file = "tls-cert = '/f/c'\ntls-key = '/f/k'";
    assert_eq!(read(file, &[], Flags::default()).unwrap().tls, files("/f/c", "/f/k"));
    let variables = [("PORTCULLIS_TLS_CERT", "/e/c"), ("PORTCULLIS_TLS_KEY", "/e/k")];
    assert_eq!(read(file, &variables, Flags::default()).unwrap().tls, files("/e/c", "/e/k"));
    let flags = Flags { tls_cert: Some("/a/c".into()), ..Flags::default() };
    assert_eq!(read(file, &[], flags.clone()).unwrap().tls, files("/a/c", "/f/k"));
    let error = read("", &[], flags).unwrap_err();
    assert!(error.starts_with("--tls-key: "), "{error}");
    let error = read("tls-key = '/f/k'", &[], Flags::default()).unwrap_err();
    assert!(error.starts_with("--tls-cert: "), "{error}");
    let alone = read(&format!("{file}\ntls-only = true"), &[], Flags::default()).unwrap();
    assert!(alone.tls.unwrap().only);
    let told = [("PORTCULLIS_TLS_ONLY", "false")];
    let both = read(&format!("{file}\ntls-only = true"), &told, Flags::default()).unwrap();
    assert!(!both.tls.unwrap().only);
    let flags = Flags { tls_only: true, ..Flags::default() };
    let error = read("", &[], flags).unwrap_err();
    assert!(error.starts_with("--tls-cert: it is not set and --tls-only is"), "{error}");
}

#[test]
fn quotas_and_rates_come_from_the_file() {
    let file = "[quotas]\nrules-per-group = 200\nvpcs-per-region = 3\n\
                [[throttle]]\ncalls-per-minute = 600\nburst = 20\n\
                [[throttle]]\naccount = 'web'\naction = 'CreateVpc'\n\
                calls-per-minute = 6\nburst = 2\n";
    let configuration = read(file, &[], Flags::default()).unwrap();
    let expected = Quotas { rules_per_group: 200, vpcs_per_region: 3, ..Quotas::default() };
    assert_eq!(configuration.quotas, expected);
    let rule = |account: Option<&str>, action: Option<&str>, calls, burst| ThrottleRule {
        account: account.map(str::to_owned),
        action: action.map(str::to_owned),
        rate: portcullis_server::throttle::Rate::new(calls, burst).unwrap(),
    };
    let rules = [rule(None, None, 600, 20), rule(Some("web"), Some("CreateVpc"), 6, 2)];
    assert_eq!(configuration.throttle, rules);
    let more = "[[throttle]]\ncalls-per-minute = 6\nburst = 2\n".repeat(1001);
    let error = read(&more, &[], Flags::default()).unwrap_err();
    assert!(error.contains("more than 1000 rules"), "{error}");
}

#[test]
fn the_guide_lists_every_quota() {
    let guide = include_str!("../../../../docs/guide/configuration.md");
    for quota in Quotas::ALL {
        let Quota { name, default, least, most, about } = quota;
        let row = format!(
            "| `{}` | {} | {default} | {least} to {most} |",
            name.replace('_', "-"),
            about.trim().trim_end_matches('.')
        );
        assert!(guide.contains(&row), "docs/guide/configuration.md lacks\n{row}");
    }
}

#[test]
fn an_error_names_its_place() {
    for (file, expected) in [
        ("listen = 'x'", "/p.toml:1:10: `x`: invalid socket address syntax"),
        ("\n  colour = 1", "/p.toml:2:3: unknown field `colour`"),
        ("data = 1", "/p.toml:1:8: invalid type"),
        ("listen = ", "/p.toml:1:10: "),
        ("region = []", "/p.toml:1:10: no region is named"),
        ("region = ['a',\n 'a']", "/p.toml:2:2: region `a` is named twice"),
        ("region = ['a b']", "/p.toml:1:11: `a b`: `a b` is not a RegionId"),
        ("[[bind]]\ninterface = 'eni-1'", "/p.toml:1:1: missing field `device`"),
        ("[[bind]]\ninterface = 'é ö'\ndevice = 'd'", "/p.toml:2:13: `é ö`: "),
        ("\ncheck-seconds = 0", "/p.toml:2:17: 0 seconds are not from 1 to 3600"),
        ("check-seconds = 3601", "/p.toml:1:17: 3601 seconds are not from 1 to 3600"),
        ("hook = 'xdp'", "/p.toml:1:8: `xdp`: there is no such hook"),
        ("[quotas]\nrules = 1", "/p.toml:2:1: quota `rules`: there is no such quota"),
        (
            "[quotas]\ngroups-per-interface = 17",
            "/p.toml:2:24: quota `groups-per-interface`: it is from 1 to 16, 10 by default",
        ),
        ("[quotas]\nvpcs-per-region = -1", "/p.toml:2:19: invalid value"),
        (
            "[[throttle]]\naction = 'Sing'\ncalls-per-minute = 1\nburst = 1",
            "/p.toml:2:10: there is no action `Sing`",
        ),
        (
            "[[throttle]]\ncalls-per-minute = 0\nburst = 1",
            "/p.toml:2:20: calls-per-minute is from 1 to 6000000, burst from 1 to 1000000",
        ),
        ("[[throttle]]\ncalls-per-minute = 1", "/p.toml:1:1: missing field `burst`"),
        (
            "[[bind]]\ninterface = 'e'\ndevice = 'd'\n[[bind]]\ninterface = 'e'\ndevice = 'f'",
            "/p.toml:5:13: interface `e` is tied twice",
        ),
        (
            "[[bind]]\ninterface = 'e'\ndevice = 'd'\n[[bind]]\ninterface = 'f'\ndevice = 'd'",
            "/p.toml:6:10: device `d` is tied twice",
        ),
    ] {
        let error = read(file, &[], Flags::default()).unwrap_err();
        assert!(error.starts_with(expected), "{file:?} gave {error:?}");
    }
    let error = read("", &[("PORTCULLIS_NO_AGENT", "si")], Flags::default()).unwrap_err();
    assert!(error.starts_with("PORTCULLIS_NO_AGENT: `si`: "), "{error}");
    let flags = Flags { listen: Some("8080".into()), ..Flags::default() };
    let error = read("", &[], flags).unwrap_err();
    assert!(error.starts_with("--listen: `8080`: "), "{error}");
}

#[test]
fn a_named_file_must_be_there() {
    let flags = Flags { config: Some("/nowhere/p.toml".into()), ..Flags::default() };
    let error = Configuration::read(&flags, &|_| None).unwrap_err();
    assert_eq!(error.place, "/nowhere/p.toml");
}

#[test]
fn metrics_are_served_nowhere_until_an_address_is_named() {
    let metrics = |file, variables: &[(&str, &str)], flag: Option<&str>| {
        let flags = Flags { metrics: flag.map(str::to_owned), ..Flags::default() };
        read(file, variables, flags).map(|configuration| configuration.metrics)
    };
    let file = "metrics = '127.0.0.1:1'";
    let variable = [("PORTCULLIS_METRICS", "127.0.0.1:2")];
    let at = |port: u16| Ok(Some(([127, 0, 0, 1], port).into()));
    assert_eq!(metrics(file, &[], None), at(1));
    assert_eq!(metrics(file, &variable, None), at(2));
    assert_eq!(metrics(file, &variable, Some("127.0.0.1:3")), at(3));
    let error = metrics("metrics = '9464'", &[], None).unwrap_err();
    assert_eq!(error, "/p.toml:1:11: `9464`: invalid socket address syntax");
}

#[test]
fn the_flow_log_is_off_until_a_directory_is_named() {
    let flow_log = |file, variables: &[(&str, &str)], flags| {
        read(file, variables, flags).map(|configuration| configuration.flow_log)
    };
    let none = Flags::default;
    assert_eq!(flow_log("flow-log-files = 3", &[], none()), Ok(None));
    let named = flow_log("flow-log = '/f'", &[], none()).unwrap().unwrap();
    let bounds = (named.file_bytes_max, named.older_files, named.events.len());
    assert_eq!(bounds, (64_000_000, 8, EventName::ALL.len()));
    let file = "flow-log = '/f'\nflow-log-megabytes = 1\nflow-log-event = ['deny']";
    let variables = [
        ("PORTCULLIS_FLOW_LOG", "/e"),
        ("PORTCULLIS_FLOW_LOG_FILES", "0"),
        ("PORTCULLIS_FLOW_LOG_EVENT", "new, end"),
    ];
    let flags = Flags { flow_log_event: vec!["revoke".into()], ..none() };
    let expected = |directory: &str, older_files, events: &[EventName]| {
        Ok(Some(FlowLogSettings {
            directory: directory.into(),
            file_bytes_max: 1_000_000,
            older_files,
            events: events.iter().copied().collect(),
        }))
    };
    use EventName::{Deny, End, New, Revoke};
    assert_eq!(flow_log(file, &[], none()), expected("/f", 8, &[Deny]));
    assert_eq!(flow_log(file, &variables, none()), expected("/e", 0, &[New, End]));
    assert_eq!(flow_log(file, &variables, flags), expected("/e", 0, &[Revoke]));
    for (file, expected) in [
        ("flow-log-megabytes = 0", "/p.toml:1:22: it is from 1 to 1048576, 64 by default"),
        ("flow-log-megabytes = 1048577", "/p.toml:1:22: it is from 1 to 1048576, 64 by default"),
        ("flow-log-files = 1001", "/p.toml:1:18: it is from 0 to 1000, 8 by default"),
        ("flow-log-event = ['lose']", "/p.toml:1:19: there is no event `lose`"),
    ] {
        let error = flow_log(file, &[], none()).unwrap_err();
        assert!(error.starts_with(expected), "{file:?} gave {error:?}");
    }
    let most = "flow-log = '/f'\nflow-log-megabytes = 1048576\nflow-log-files = 1000";
    assert_eq!(flow_log(most, &[], none()).unwrap().unwrap().older_files, 1000);
}
