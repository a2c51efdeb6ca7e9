//! Instances and the interfaces that are attached to them.
use super::harness::Harness;
use super::language::run;

const NETWORK: &str = "
    vpc v cidr=10.0.0.0/16 ipv6=fd00::/56
    vswitch s vpc=v cidr=10.0.0.0/24 ipv6=1
    group g vpc=v
    group h vpc=v
    ";

/// Runs a script line by line. Further instances of one line `i` are called `i+1`, `i+2` and so on,
/// interfaces that are made with an instance `i` are called `i.0`, `i.1` and so on.
fn play(harness: &mut Harness, script: &str) {
    for line in script.lines() {
        run(harness, line);
        let made = line.split_whitespace().nth(1).unwrap_or_default();
        let ids: Vec<_> = harness.state.world().interfaces().map(|own| own.id.clone()).collect();
        let records = ids.iter().filter_map(|id| harness.state.interface(id).cloned());
        let mut attached: Vec<_> = records.filter(|record| record.attachment.is_some()).collect();
        attached.sort_by_key(|record| record.primary);
        let mut further = 0;
        for record in attached {
            let (id, instance) = (record.id.to_string(), record.instance().unwrap().to_string());
            if !harness.names.contains_key(&instance) {
                further += 1;
                name(harness, instance.clone(), format!("{made}+{further}"));
            }
            if !harness.names.contains_key(&id) {
                let of = format!("{}.", harness.names[&instance]);
                let own = |other: &&String| harness.names[*other].starts_with(&of);
                let alive = ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
                let count = alive.iter().filter(|id| harness.names.contains_key(*id)).filter(own);
                let count = count.count();
                name(harness, id, format!("{of}{count}"));
            }
        }
    }
}

fn name(harness: &mut Harness, id: String, name: String) {
    harness.names.insert(id.clone(), name.clone());
    harness.ids.insert(name, id);
}

fn check(script: &str) {
    let mut harness = Harness::new();
    play(&mut harness, NETWORK);
    play(&mut harness, script);
}

#[test]
fn an_instance_comes_with_its_primary_interface_and_goes_with_it() {
    check(
        "
        run i vswitch=s groups=g => ok +2
        instance j vswitch=s groups=g,h primary=10.0.0.9 => ok +2
        instances => 2 [i Running 10.0.0.1 g; j Stopped 10.0.0.9 g,h]
        enis instance=i type=Primary => 1 [i.0 10.0.0.1 g InUse Primary of i]
        eni-attribute i.0 => i.0 10.0.0.1 g InUse Primary of i
        eni-attribute i.0 as=other => 404 InvalidEniId.NotFound NetworkInterfaceId
        instance-attribute j => j Stopped 10.0.0.9 g,h
        instance-attribute i-none => 404 InvalidInstanceId.NotFound InstanceId
        instance-attribute j as=other => 404 InvalidInstanceId.NotFound InstanceId
        delete-group h => 403 DependencyViolation SecurityGroupId
        delete-vswitch s => 403 DependencyViolation.NetworkInterface VSwitchId
        delete-eni i.0 => 403 InvalidOperation.InvalidEniState NetworkInterfaceId
        delete-instance i => 403 IncorrectInstanceStatus InstanceId
        delete-instance i force => ok -2
        delete-instance j => ok -2
        delete-instance j => 404 InvalidInstanceId.NotFound InstanceId
        instances => 0 []
        enis => 0 []
        delete-group h => ok -1
        ",
    );
}

#[test]
fn several_instances_share_no_address_and_no_quota() {
    let mut harness = Harness::new();
    harness.settings.quotas.interfaces_per_region = 6;
    harness.settings.quotas.addresses_per_basic_group = 5;
    harness.settings.quotas.interfaces_per_enterprise_group = 1;
    play(&mut harness, NETWORK);
    play(
        &mut harness,
        "
        group e vpc=v type=enterprise
        group k vpc=v
        run i vswitch=s groups=g amount=3 primary=10.0.0.7 => ok +6
        instances address=10.0.0.8 => 1 [i+1 Running 10.0.0.8 g]
        instances address=10.0.0.9,10.0.0.7 => 2 [i Running 10.0.0.7 g; i+2 Running 10.0.0.9 g]
        delete-instance i force => ok -2
        run i vswitch=s groups=g amount=4 => 403 SecurityGroupInstanceLimitExceed SecurityGroupId
        run i vswitch=s groups=e amount=2 => 403 SecurityGroupInstanceLimitExceed SecurityGroupId
        run i vswitch=s groups=g amount=2 more=1 => \
            403 SecurityGroupInstanceLimitExceed SecurityGroupId
        run i vswitch=s groups=h amount=5 => 403 MaxEniCountExceeded
        run i vswitch=s groups=h amount=2 more-ipv6=1 => ok +4
        instances ipv6=fd00:0:0:1::2 => 1 [i+1 Running 10.0.0.2 h]
        run j vswitch=s groups=k amount=3 => 403 MaxEniCountExceeded
        ",
    );
}

#[test]
fn what_is_named_can_be_had_once() {
    check(
        "
        eni e vswitch=s groups=g
        run i vswitch=s groups=g amount=2 secondary=10.0.0.7 => \
            400 InvalidParam.NetworkInterface Ipv6Address
        run i vswitch=s groups=g amount=2 ipv6=fd00:0:0:1::7 => \
            400 InvalidParam.NetworkInterface Ipv6Address
        run i vswitch=s groups=g amount=2 with=e => \
            400 InvalidParam.NetworkInterface NetworkInterfaceId
        run i vswitch=s groups=g with=e,e => \
            400 InvalidParam.NetworkInterface NetworkInterfaceId
        run i vswitch=s groups=g primary=10.0.0.1 => 403 InvalidIp.IpRepeated PrimaryIpAddress
        run i vswitch=s groups=g zone=cn-hangzhou-z => 400 InvalidParameter.Mismatch ZoneId
        run i vswitch=vsw-none groups=g => 404 InvalidVSwitchId.NotFound VSwitchId
        run i vswitch=s groups=sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        run i vswitch=s groups=g as=other => 404 InvalidVSwitchId.NotFound VSwitchId
        run i vswitch=s groups=g with=e,eni-none => 404 InvalidEniId.NotFound NetworkInterfaceId
        vpc w cidr=10.0.0.0/16
        group far vpc=w
        run i vswitch=s groups=far => 400 InvalidParameter.Mismatch SecurityGroupId
        run i vswitch=s groups=g with=e zone=cn-hangzhou-b => ok +3
        instances => 1 [i Running 10.0.0.2+10.0.0.1 g]
        ",
    );
}

#[test]
fn names_of_several_are_numbered_where_asked() {
    let long = "n".repeat(126);
    let script = format!(
        "
        run i vswitch=s groups=g amount=2 name=web suffix => ok +4
        instances name=web001 => 1 [i Running 10.0.0.1 g]
        instances name=web* => 2 [i Running 10.0.0.1 g; i+1 Running 10.0.0.2 g]
        instances name=*2 => 1 [i+1 Running 10.0.0.2 g]
        run j vswitch=s groups=g amount=2 name={long} suffix => \
            403 InvalidParams.InstanceNameExceed InstanceName
        run j vswitch=s groups=g name={long} suffix => ok +2
        run k vswitch=s groups=g amount=2 name=same => ok +4
        instances name=same => 2 [k Running 10.0.0.4 g; k+1 Running 10.0.0.5 g]
        instance l vswitch=s groups=g => ok +2
        instances name=i-* => 1 [l Stopped 10.0.0.6 g]
        "
    );
    check(&script);
}

#[test]
fn instances_are_started_and_stopped() {
    check(
        "
        instance i vswitch=s groups=g => ok +2
        run j vswitch=s groups=g => ok +2
        start i
        start i => 403 IncorrectInstanceStatus InstanceId
        stop i
        stop i => 403 IncorrectInstanceStatus InstanceId
        start i dry => 400 DryRunOperation DryRun
        start i together dry => 400 DRYRUN.SUCCESS DryRun
        start j together dry => 403 IncorrectInstanceStatus InstanceId
        delete-instance i dry => 400 DryRunOperation DryRun
        delete-instance i together dry => 400 DRYRUN.SUCCESS DryRun
        start i j together => 403 IncorrectInstanceStatus InstanceId
        start i j each => ok +1 i:200:Stopped>Running j:IncorrectInstanceStatus:Running>Running
        stop i i-none each => ok +1 i:200:Running>Stopped i-none:InvalidInstanceId.NotFound:->-
        stop j i-none together => 404 InvalidInstanceId.NotFound InstanceId
        stop j j together token=t => ok +2 j:200:Running>Stopped
        stop j j together token=t => ok j:200:Running>Stopped
        start i j together as=other => 404 InvalidInstanceId.NotFound InstanceId
        delete-instance i j together => ok -4 i:200:Stopped>- j:200:Stopped>-
        ",
    );
}

#[test]
fn a_protected_instance_stays() {
    check(
        "
        instance i vswitch=s groups=g protected=true => ok +2
        delete-instance i => 403 InvalidOperation.DeletionProtection InstanceId
        delete-instance i force => 403 InvalidOperation.DeletionProtection InstanceId
        modify-instance i protected=false
        delete-instance i => ok -2
        ",
    );
}

#[test]
fn interfaces_are_attached_and_detached() {
    let mut harness = Harness::new();
    harness.settings.quotas.interfaces_per_instance = 3;
    play(&mut harness, NETWORK);
    play(
        &mut harness,
        "
        vpc w cidr=10.0.0.0/16
        vswitch far vpc=w cidr=10.0.0.0/24
        vswitch zone vpc=v cidr=10.0.1.0/24 zone=cn-hangzhou-z
        group there vpc=w
        run i vswitch=s groups=g => ok +2
        run j vswitch=s groups=g eth1=s => ok +3
        eni a vswitch=s groups=h
        eni b vswitch=s groups=h
        eni c vswitch=s groups=h
        eni x vswitch=far groups=there
        eni z vswitch=zone groups=h
        attach a i later=1
        attach a i => 400 InvalidOperation.InvalidEniState NetworkInterfaceId
        attach a j => 400 InvalidOperation.InvalidEniState NetworkInterfaceId
        attach x i => 403 InvalidOperation.VpcMismatch NetworkInterfaceId
        attach z i => 403 InvalidOperation.AvailabilityZoneMismatch NetworkInterfaceId
        attach eni-none i => 404 InvalidEniId.NotFound NetworkInterfaceId
        attach b i-none => 404 InvalidEcsId.NotFound InstanceId
        attach b i as=other => 404 InvalidEcsId.NotFound InstanceId
        attach b i later=1
        attach c i => 403 EniPerInstanceLimitExceeded InstanceId
        instances ids=i => 1 [i Running 10.0.0.1+10.0.0.4+10.0.0.5 g]
        instances ids=j => 1 [j Running 10.0.0.2+10.0.0.3 g]
        enis instance=i type=Secondary => 2 [a 10.0.0.4 h InUse Secondary of i; \
            b 10.0.0.5 h InUse Secondary of i]
        delete-eni a => 403 InvalidOperation.InvalidEniState NetworkInterfaceId
        detach a j => 400 InvalidOperation.InvalidEniState NetworkInterfaceId
        detach i.0 i => 400 InvalidOperation.DetachPrimaryEniNotAllowed NetworkInterfaceId
        detach a i-none => 404 InvalidEcsId.NotFound InstanceId
        detach eni-none i => 404 InvalidEniId.NotFound NetworkInterfaceId
        detach a i
        detach a i => 400 InvalidOperation.InvalidEniState NetworkInterfaceId
        enis ids=a status=Available => 1 [a 10.0.0.4 h Available]
        delete-eni a => ok -1
        run k vswitch=s groups=g with=c,b => \
            400 InvalidOperation.InvalidEniState NetworkInterfaceId
        ",
    );
}

#[test]
fn interfaces_go_with_their_instance_unless_they_are_to_stay() {
    check(
        "
        eni a vswitch=s groups=g delete-on-release=false
        eni b vswitch=s groups=g
        run i vswitch=s groups=g with=a,b => ok +4
        bind i.0 veth0
        delete-instance i force => 403 InvalidOperation.InvalidEniState InstanceId
        unbind i.0 => ok -1
        bind b veth0
        delete-instance i force => 403 InvalidOperation.InvalidEniState InstanceId
        modify-eni b delete-on-release=false
        delete-instance i force => ok +2 -2
        enis => 2 [a 10.0.0.1 g Available; b 10.0.0.2 g InUse]
        bindings => b veth0
        ",
    );
}

#[test]
fn the_groups_of_an_instance_are_those_of_its_primary_interface() {
    check(
        "
        vpc w cidr=10.0.0.0/16
        group far vpc=w
        group e vpc=v type=enterprise
        group f vpc=v type=enterprise
        run i vswitch=s groups=g eth1=s => ok +3
        join i h
        join i h => 403 InvalidInstanceId.AlreadyExists SecurityGroupId
        join i far => 400 InvalidInstanceId.Mismatch SecurityGroupId
        join i e => 403 OperationDenied SecurityGroupId
        leave i g
        leave i h => 403 InstanceLastSecurityGroup SecurityGroupId
        leave i g => 403 InstanceNotInSecurityGroup SecurityGroupId
        leave i-none g => 404 InvalidInstanceId.NotFound InstanceId
        enis => 2 [i.0 10.0.0.1 h InUse Primary of i; i.1 10.0.0.2 g InUse Secondary of i]
        modify-instance i groups=e,f,e
        instances group=f => 1 [i Running 10.0.0.1+10.0.0.2 e,f]
        instances group=g => 0 []
        modify-instance i groups=e,g => 403 OperationDenied SecurityGroupIds
        modify-instance i groups=far => 403 InvalidOperation.VpcMismatch SecurityGroupIds
        modify-instance i groups=sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupIds
        modify-instance i-none groups=g => 404 InvalidInstanceId.NotFound InstanceId
        modify-instance i groups=e,f => ok
        modify-instance i groups=g name=web queues=4 => ok +2
        modify-instance i name=web host=web queues=4
        instance-attribute i => i Running 10.0.0.1+10.0.0.2 g
        ",
    );
}

#[test]
fn instances_are_found_by_what_they_are() {
    check(
        "
        vswitch t vpc=v cidr=10.0.1.0/24
        run i vswitch=s groups=g name=web image=debian tags=k:v ipv6=fd00:0:0:1::7 => ok +2
        instance j vswitch=t groups=h => ok +2
        instances ids=i,i-none => 1 [i Running 10.0.0.1 g]
        instances ids= => 0 []
        instances vpc=v vswitch=t => 1 [j Stopped 10.0.1.1 h]
        instances vpc=vpc-none => 0 []
        instances zone=cn-hangzhou-b group=h => 1 [j Stopped 10.0.1.1 h]
        instances zone=cn-hangzhou-z => 0 []
        instances address=10.0.0.1 => 1 [i Running 10.0.0.1 g]
        instances address= => 0 []
        instances ipv6=fd00:0:0:1::7 => 1 [i Running 10.0.0.1 g]
        instances name=web => 1 [i Running 10.0.0.1 g]
        instances image=debian => 1 [i Running 10.0.0.1 g]
        instances image=other => 0 []
        instances status=Stopped => 1 [j Stopped 10.0.1.1 h]
        instances status=Starting => 0 []
        instances tags=k:v => 1 [i Running 10.0.0.1 g]
        instances nothing => 0 []
        instances as=other => 0 []
        instances region=cn-qingdao-env17-d01 => 0 []
        instances region=none => 2 [i Running 10.0.0.1 g; j Stopped 10.0.1.1 h]
        ",
    );
}
