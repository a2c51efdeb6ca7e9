//! VPCs, vSwitches, interfaces and bindings.
use super::language::check;

#[test]
fn a_vpc_has_a_block_and_goes_when_it_is_empty() {
    check(
        "
        vpc v
        vpcs => 1 [v 172.16.0.0/12]
        vpc w cidr=10.0.0.0/8 name=office user-cidrs=10.9.0.0/16 tags=k:v
        vpcs name=office => 1 [w 10.0.0.0/8]
        vpcs ids=v,w,vpc-none => 2 [v 172.16.0.0/12; w 10.0.0.0/8]
        vpcs tags=k:v => 1 [w 10.0.0.0/8]
        vpcs tags=k:w => 0 []
        vpcs default=true => 0 []
        vpcs default=false page=1 size=2 => 2 [v 172.16.0.0/12; w 10.0.0.0/8]
        vpcs region=cn-qingdao-env17-d01 => 0 []
        vpcs region=none => 2 [v 172.16.0.0/12; w 10.0.0.0/8]
        vpcs as=other => 0 []
        vpcs region=cn-beijing => 404 InvalidRegionId.NotFound RegionId
        vswitch s vpc=v cidr=172.16.0.0/24
        delete-vpc v => 403 DependencyViolation.VSwitch VpcId
        delete-vswitch s => ok -1
        group g vpc=v
        delete-vpc v => 403 DependencyViolation.SecurityGroup VpcId
        delete-group g => ok -1
        delete-vpc v as=other => 404 InvalidVpcID.NotFound VpcId
        delete-vpc v region=cn-qingdao-env17-d01 => 404 InvalidVpcID.NotFound VpcId
        delete-vpc v => ok -1
        delete-vpc v => 404 InvalidVpcID.NotFound VpcId
        vpc x region=none => 400 MissingParameter.RegionId RegionId
        regions => cn-hangzhou cn-qingdao-env17-d01
        ",
    );
}

#[test]
fn blocks_of_a_vpc_are_bounded() {
    check(
        "
        vpc a cidr=10.0.0.0/8
        vpc b cidr=10.0.0.0/28
        vpc c cidr=10.0.0.0/7 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=10.0.0.0/29 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=10.0.0.1/16 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=10.0.0.0 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=2001:db8::/32 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=127.0.0.0/16 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c cidr=100.64.0.0/16 => 400 InvalidCidrBlock.Malformed CidrBlock
        vpc c user-cidrs=1.0.0.0/8,2.0.0.0/8,3.0.0.0/8
        vpc d user-cidrs=1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8 => \
            400 InvalidUserCidr.Malformed UserCidr
        vpc d ipv6=2001:db8:0:100::/56
        vpc e ipv6=2001:db8::/64 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vpc e ipv6=2001:db8::1/56 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vpc e ipv6=fe80::/56 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vpc e ipv6=10.0.0.0/8 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vpc e ipv6=any
        vpcs ids=d => 1 [d 172.16.0.0/12 2001:db8:0:100::/56]
        ",
    );
}

#[test]
fn a_vswitch_is_a_part_of_its_vpc() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00:1:2:300::/56
        vpc plain cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24 ipv6=255 tags=k:v name=front
        vswitch t vpc=v cidr=10.0.1.0/29
        vswitch o vpc=plain cidr=10.0.0.0/16
        vswitches vpc=v => 2 [s 10.0.0.0/24 fd00:1:2:3ff::/64 free=252; t 10.0.1.0/29 free=4]
        vswitches ids=s,o => 2 [o 10.0.0.0/16 free=65532; s 10.0.0.0/24 fd00:1:2:3ff::/64 free=252]
        vswitches vpc=v ids=o => 0 []
        vswitches name=front => 1 [s 10.0.0.0/24 fd00:1:2:3ff::/64 free=252]
        vswitches zone=cn-hangzhou-c => 0 []
        vswitches tags=k => 1 [s 10.0.0.0/24 fd00:1:2:3ff::/64 free=252]
        vswitches default=true => 0 []
        vswitches as=other => 0 []
        vswitch u vpc=v cidr=10.0.0.128/25 => 400 InvalidCidrBlock.Overlapped CidrBlock
        vswitch u vpc=v cidr=10.0.0.0/16 => 400 InvalidCidrBlock.Overlapped CidrBlock
        vswitch u vpc=v cidr=10.1.0.0/24 => 400 InvalidCidrBlock.Malformed CidrBlock
        vswitch u vpc=v cidr=10.0.0.0/15 => 400 InvalidCidrBlock.Malformed CidrBlock
        vswitch u vpc=v cidr=10.0.2.0/30 => 400 InvalidCidrBlock.Malformed CidrBlock
        vswitch u vpc=v cidr=10.0.2.1/24 => 400 InvalidCidrBlock.Malformed CidrBlock
        vswitch u vpc=v cidr=10.0.2.0/24 ipv6=255 => \
            400 InvalidIpv6CidrBlock.Overlapped Ipv6CidrBlock
        vswitch u vpc=plain cidr=10.0.2.0/24 ipv6=0 => 400 InvalidCidrBlock.Overlapped CidrBlock
        delete-vswitch o => ok -1
        vswitch u vpc=plain cidr=10.0.2.0/24 ipv6=0 => \
            400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vswitch u vpc=vpc-none cidr=10.0.2.0/24 => 404 InvalidVpcID.NotFound VpcId
        delete-vswitch vsw-none => 404 InvalidVswitchID.NotFound VSwitchId
        group g vpc=v
        eni e vswitch=s groups=g
        delete-vswitch s => 403 DependencyViolation.NetworkInterface VSwitchId
        ",
    );
}

#[test]
fn an_interface_gets_addresses_of_its_vswitch() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00::/56
        vswitch s vpc=v cidr=10.0.0.0/29 ipv6=1
        vswitch plain vpc=v cidr=10.0.1.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        eni b vswitch=s groups=g primary=10.0.0.3 secondary=10.0.0.3 ipv6=fd00:0:0:1::1
        eni c vswitch=s groups=g more-ipv6=2
        enis => 3 [a 10.0.0.1 g Available; b 10.0.0.3,fd00:0:0:1::1 g Available; \
            c 10.0.0.2,fd00:0:0:1::2,fd00:0:0:1::3 g Available]
        vswitches vpc=v name=none => 0 []
        vswitches ids=s => 1 [s 10.0.0.0/29 fd00:0:0:1::/64 free=1]
        eni d vswitch=s groups=g more=1 => 403 InvalidVSwitchId.IpNotEnough PrivateIpAddress
        eni d vswitch=s groups=g primary=10.0.0.3 => 403 InvalidIp.IpRepeated PrimaryIpAddress
        eni d vswitch=s groups=g primary=10.0.0.0 => 403 InvalidVSwitchId.IpInvalid PrimaryIpAddress
        eni d vswitch=s groups=g primary=10.0.0.5 => 403 InvalidVSwitchId.IpInvalid PrimaryIpAddress
        eni d vswitch=s groups=g primary=10.0.1.5 => 403 InvalidVSwitchId.IpInvalid PrimaryIpAddress
        eni d vswitch=s groups=g secondary=10.0.0.4,10.0.0.4 => \
            400 InvalidPrivateIpAddress.Duplicated PrivateIpAddress
        eni d vswitch=s groups=g ipv6=fd00:0:0:1::1 => 403 InvalidIp.IpRepeated Ipv6Address
        eni d vswitch=s groups=g ipv6=fd00:0:0:2::9 => 403 InvalidIp.Address Ipv6Address
        eni d vswitch=s groups=g ipv6=fd00:0:0:1:: => 403 InvalidIp.Address Ipv6Address
        eni d vswitch=s groups=g more-ipv6=11 => \
            403 InvalidOperation.Ipv6CountExceeded Ipv6Address
        eni d vswitch=plain groups=g ipv6=fd00:0:0:1::7 => \
            403 InvalidVSwitch.Ipv6NotTurnOn VSwitchId
        eni d vswitch=plain groups=g more=50 => \
            403 InvalidOperation.Ipv4CountExceeded PrivateIpAddress
        eni d vswitch=plain groups=g more=49
        eni x vswitch=vsw-none groups=g => 404 InvalidVSwitchId.NotFound VSwitchId
        eni x vswitch=plain groups=g as=other => 404 InvalidVSwitchId.NotFound VSwitchId
        delete-eni a => ok -1
        eni f vswitch=s groups=g
        enis vswitch=s address=10.0.0.1 => 1 [f 10.0.0.1 g Available]
        ",
    );
}

#[test]
fn hardware_addresses_are_unique() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni a vswitch=s groups=g mac=02:00:00:00:00:01
        eni b vswitch=s groups=g mac=02:00:00:00:00:01 => 400 InvalidParam.MacAddress MacAddress
        eni b vswitch=s groups=g mac=03:00:00:00:00:01 => 400 InvalidParam.MacAddress MacAddress
        eni b vswitch=s groups=g mac=00:00:00:00:00:00 => 400 InvalidParam.MacAddress MacAddress
        delete-eni a => ok -1
        eni b vswitch=s groups=g mac=02:00:00:00:00:01
        ",
    );
}

#[test]
fn interfaces_are_found_by_what_they_are() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00::/56
        vswitch s vpc=v cidr=10.0.0.0/24 ipv6=0
        group g vpc=v
        group h vpc=v
        eni a vswitch=s groups=g name=aa tags=k:v
        eni b vswitch=s groups=g,h secondary=10.0.0.9 ipv6=fd00::9
        enis ids=a,eni-none => 1 [a 10.0.0.1 g Available]
        enis group=h => 1 [b 10.0.0.2,10.0.0.9,fd00::9 g,h Available]
        enis vpc=v name=aa => 1 [a 10.0.0.1 g Available]
        enis vswitch=s primary=10.0.0.9 => 0 []
        enis address=10.0.0.9,10.0.0.8 => 1 [b 10.0.0.2,10.0.0.9,fd00::9 g,h Available]
        enis ipv6=fd00::9 => 1 [b 10.0.0.2,10.0.0.9,fd00::9 g,h Available]
        enis tags=k => 1 [a 10.0.0.1 g Available]
        enis status=InUse => 0 []
        enis status=Attaching => 0 []
        enis type=Primary => 0 []
        enis type=Secondary name=aa => 1 [a 10.0.0.1 g Available]
        enis instance=i-none => 0 []
        enis managed=true => 0 []
        enis managed=false name=aa => 1 [a 10.0.0.1 g Available]
        enis as=other => 0 []
        enis ids=a group=h => 0 []
        ",
    );
}

#[test]
fn a_bound_interface_is_in_use_and_stays() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        eni b vswitch=s groups=g
        bind a veth0 region=none
        bind a veth0 => ok
        bind a veth1 => 403 InvalidOperation.InvalidEniState NetworkInterfaceId
        bind b veth0 => 403 InvalidOperation.DeviceInUse Device
        bind eni-none veth9 => 404 InvalidEniId.NotFound NetworkInterfaceId
        bindings => a veth0
        enis ids=a status=InUse => 1 [a 10.0.0.1 g InUse]
        delete-eni a => 403 InvalidOperation.InvalidEniState NetworkInterfaceId
        unbind b => 404 InvalidBinding.NotFound NetworkInterfaceId
        unbind a => ok -1
        bind b veth0
        delete-eni a => ok -1
        delete-eni a => 404 InvalidEniId.NotFound NetworkInterfaceId
        delete-eni b as=other => 404 InvalidEniId.NotFound NetworkInterfaceId
        ",
    );
}

#[test]
fn an_interface_is_changed_only_by_what_is_sent() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vpc w cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        group far vpc=w
        group advanced vpc=v type=enterprise
        group classic
        eni a vswitch=s groups=g,g description=old
        modify-eni a => ok
        modify-eni a groups=g => ok
        modify-eni a groups=h,g,h
        enis => 1 [a 10.0.0.1 h,g Available]
        modify-eni a groups=advanced
        enis => 1 [a 10.0.0.1 advanced Available]
        modify-eni a groups=g,advanced => 403 OperationDenied SecurityGroupId
        modify-eni a groups=far => 403 InvalidOperation.VpcMismatch SecurityGroupId
        modify-eni a groups=classic => 403 InvalidSecurityGroupId.NotVpc SecurityGroupId
        modify-eni a groups=sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        modify-eni a groups= => 400 MissingSecurityGroupId SecurityGroupId
        modify-eni eni-none name=aa => 404 InvalidEniId.NotFound NetworkInterfaceId
        modify-eni a name=aa
        modify-eni a name=aa => ok
        modify-eni a description=
        modify-eni a description= => ok
        modify-eni a description=new
        modify-eni a check=true
        modify-eni a check=false
        modify-eni a check=false => ok
        modify-eni a delete-on-release=true => ok
        modify-eni a delete-on-release=false
        modify-eni a udp=60 closed=15
        modify-eni a tcp=910 => ok
        modify-eni a tcp=911 => \
            400 InvalidParameter.ConnectionTrackingConfiguration ConnectionTrackingConfiguration
        modify-eni a closed=16 => \
            400 InvalidParameter.ConnectionTrackingConfiguration ConnectionTrackingConfiguration
        ",
    );
}

#[test]
fn a_vpc_is_changed_by_what_is_sent_and_shown_whole() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.1.0/24
        show-vpc v => v 10.0.0.0/16 s
        show-vpc v as=other => 404 InvalidVpcID.NotFound VpcId
        modify-vpc v => ok
        modify-vpc v name=office description=old
        modify-vpc v name=office description=old => ok
        modify-vpc v description=
        modify-vpc v description= => ok
        vpcs name=office => 1 [v 10.0.0.0/16 s]
        modify-vpc v cidr=10.0.0.0/23
        modify-vpc v cidr=10.0.0.0/24 => 403 DependencyViolation.VSwitch CidrBlock
        modify-vpc v cidr=10.0.0.0/7 => 400 InvalidCidrBlock.Malformed CidrBlock
        modify-vpc v ipv6=fd00::/64 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        modify-vpc v ipv6=none => ok
        modify-vpc v ipv6=fd00::/56
        modify-vpc v ipv6=any => ok
        modify-vpc v ipv6=fd00::/56 => ok
        modify-vpc v ipv6=fd01::/56 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        vswitch t vpc=v cidr=10.0.0.0/24 ipv6=3
        modify-vpc v ipv6=none => 403 DependencyViolation.VSwitch EnableIPv6
        vpcs with-ipv6=true => 1 [v 10.0.0.0/23 fd00::/56 s,t]
        vpcs with-ipv6=false => 0 []
        vpcs dhcp => 0 []
        vpcs owner=7 => 0 []
        delete-vswitch t => ok -1
        modify-vpc v ipv6=none
        show-vpc v => v 10.0.0.0/23 s
        modify-vpc v ipv6=any
        modify-vpc v as=other name=mine => 404 InvalidVpcID.NotFound VpcId
        ",
    );
}

#[test]
fn a_vswitch_is_changed_by_what_is_sent_and_shown_whole() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00::/56 resource-group=rg-1
        vpc plain cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.1.0/24
        vswitch t vpc=v cidr=10.0.2.0/24 ipv6=2
        vswitch p vpc=plain cidr=10.0.2.0/24
        group g vpc=v
        show-vswitch s => s 10.0.1.0/24 free=252 in=rg-1
        show-vswitch s as=other => 404 InvalidVswitchID.NotFound VSwitchId
        modify-vswitch s => ok
        modify-vswitch s name=office description=old
        modify-vswitch s description=
        modify-vswitch s name=office description= => ok
        modify-vswitch s ipv6=none => ok
        modify-vswitch s ipv6=own => 400 MissingIpv6CidrBlock Ipv6CidrBlock
        modify-vswitch s ipv6=2 => 400 InvalidIpv6CidrBlock.Overlapped Ipv6CidrBlock
        modify-vswitch p ipv6=2 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        modify-vswitch s ipv6=1
        modify-vswitch s ipv6=1 => ok
        modify-vswitch s ipv6=own => ok
        modify-vswitch s ipv6=4 => 400 InvalidIpv6CidrBlock.Malformed Ipv6CidrBlock
        eni e vswitch=s groups=g more-ipv6=1
        modify-vswitch s ipv6=none => 403 DependencyViolation.Ipv6Address EnableIPv6
        delete-eni e => ok -1
        modify-vswitch s ipv6=none
        vswitches with-ipv6=true => 1 [t 10.0.2.0/24 fd00:0:0:2::/64 free=252 in=rg-1]
        vswitches with-ipv6=false => 2 [p 10.0.2.0/24 free=252; s 10.0.1.0/24 free=252 in=rg-1]
        vswitches owner=7 => 0 []
        vswitches resource-group=rg-1 name=office => 1 [s 10.0.1.0/24 free=252 in=rg-1]
        vswitches table=vtb-none => 0 []
        modify-vswitch s as=other => 404 InvalidVswitchID.NotFound VSwitchId
        ",
    );
}

#[test]
fn a_vpc_has_one_route_table() {
    check(
        "
        vpc v resource-group=rg-1
        vpc w
        vswitch s vpc=v cidr=172.16.1.0/24
        tables => 2 [v routes=1; w routes=0]
        tables vpc=v no-routes => 1 [v routes=0]
        tables resource-group=rg-1 => 1 [v routes=1]
        tables table=vtb-none => 0 []
        tables router=vrt-none => 0 []
        tables vpc=v custom => 0 []
        tables as=other => 0 []
        ",
    );
}

#[test]
fn the_server_tells_its_zones_and_services() {
    check(
        "
        zones => cn-hangzhou-a cn-hangzhou-b cn-hangzhou-c
        zones region=none => 400 MissingParameter.RegionId RegionId
        zones region=cn-beijing => 404 InvalidRegionId.NotFound RegionId
        vpc v
        vswitch s vpc=v cidr=172.16.1.0/24 zone=rack-7
        zones => cn-hangzhou-a cn-hangzhou-b cn-hangzhou-c rack-7
        zones as=other => cn-hangzhou-a cn-hangzhou-b cn-hangzhou-c
        endpoints ecs id=cn-hangzhou => cn-hangzhou ecs
        endpoints slb id=cn-hangzhou region=none => cn-hangzhou none
        endpoints ecs id=cn-beijing => 404 InvalidRegionId.NotFound Id
        caller => root
        caller as=other => other
        disks page=2 => 0 []
        disks max=5 => 0 []
        ",
    );
}
