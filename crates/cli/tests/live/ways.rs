//! The ways a call can travel, each by a client that shares no line with the server. Needs no root:
//! nothing is enforced.

use super::program;
use portcullis_testkit::client::Way;
use portcullis_testkit::lab::estate::Estate;
use portcullis_testkit::lab::language::{Step, read};
use portcullis_testkit::lab::product::Product;

#[test]
fn a_rule_can_be_made_and_revoked_in_every_way() {
    let product = Product::start(program(), None, &["--no-agent"]).unwrap();
    for way in Way::ALL {
        let mut estate = Estate::new(product.client(way).unwrap()).unwrap();
        estate.create_group("a", false).unwrap();
        let line = "web = a egress accept tcp 80/80 to 198.51.100.0/24 priority 7";
        let Some(Step::Authorize(rule)) = read(line).unwrap() else { panic!("no rule") };
        estate.authorize(&rule).unwrap();
        let world = estate.world().unwrap();
        let groups = world["SecurityGroups"].as_array().unwrap();
        let own = estate.group("a").unwrap();
        let group = groups.iter().find(|group| group["SecurityGroupId"] == *own).unwrap();
        let stored = &group["Permissions"]["Permission"][0];
        assert_eq!(stored["DestCidrIp"], "198.51.100.0/24", "{way:?}: {stored}");
        assert_eq!(stored["Priority"], "7", "{way:?}: {stored}");
        estate.revoke("web").unwrap();
    }
}

#[test]
fn a_wrong_secret_is_refused_in_every_way() {
    let product = Product::start(program(), None, &["--no-agent"]).unwrap();
    for way in Way::ALL {
        let mut client = product.client(way).unwrap();
        client.key_secret.push('x');
        let answer = client.try_call("DescribeSecurityGroups", &[]).unwrap();
        assert!((400..404).contains(&answer.status), "{way:?}: {answer:?}");
        assert!(answer.body.to_string().contains("SignatureDoesNotMatch"), "{way:?}: {answer:?}");
    }
}
