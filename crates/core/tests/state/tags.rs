//! Tags and resource groups of every kind.
use super::language::check;

#[test]
fn every_kind_has_tags_and_loses_them() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni e vswitch=s groups=g
        tag of=v,s,g,e tags=team:gate,env:test => ok +4
        tag of=v,s,g,e tags=team:gate => ok
        tag of=g,g,e tags=env:live => ok +2
        tags kind=sg of=g => 2 [g env:live; g team:gate]
        tags kind=eni => 2 [e env:live; e team:gate]
        tags kind=vpc => 2 [v env:test; v team:gate]
        tags kind=vsw of=s => 2 [s env:test; s team:gate]
        vpcs tags=env:test => 1 [v 10.0.0.0/16 s]
        vswitches tags=env:live => 0 []
        enis tags=env:live => 1 [e 10.0.0.1 g Available]
        untag of=g,e keys=env,none => ok +2
        untag of=g,e keys=env => ok
        tags kind=sg => 1 [g team:gate]
        untag of=v,s,g,e => ok +4
        untag of=v => ok
        tags kind=vpc of=v => 0 []
        ",
    );
}

#[test]
fn lists_have_tags_too() {
    check(
        "
        pl p family=4 name=office entries=10.0.0.0/8
        prl q name=ports entries=80/80
        tag of=p,q tags=team:gate => ok +2
        tags kind=pl => 1 [p team:gate]
        tags kind=prl tags=team => 1 [q team:gate]
        pls tags=team:gate => 1 [p office V4 1/10 in 0]
        regroup p rg-2
        regroup q rg-2
        pls resource-group=rg-2 => 1 [p office V4 1/10 in 0]
        pl-entries p => 10.0.0.0/8
        untag of=p,q keys=team => ok +2
        tags kind=pl => 0 []
        tag of=p tags=a:b as=other => 404 InvalidResourceId.NotFound ResourceId
        ",
    );
}

#[test]
fn a_tag_is_counted_once_for_each_that_has_it() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v tags=env:live,team:gate
        group h vpc=v tags=env:live
        eni e vswitch=s groups=g
        tag of=e tags=env:live,part:web
        count kinds=sg,eni => 3 [env:live 2/1; part:web 0/1; team:gate 1/0]
        count kinds=eni => 2 [env:live 1; part:web 1]
        count kinds=sg of=h => 1 [env:live 1]
        count kinds=sg of=sg-none => 0 []
        count kinds=sg,eni tags=team:gate page=1 size=1 => 1 [team:gate 1/0]
        count kinds=sg,eni page=2 size=1 => 3 [part:web 0/1]
        count kinds=sg as=other => 0 []
        ",
    );
}

#[test]
fn all_are_tagged_or_none() {
    check(
        "
        vpc v
        group g vpc=v
        tag of=g,sg-none tags=k:v => 404 InvalidResourceId.NotFound ResourceId
        tag of=g tags=k:v as=other => 404 InvalidResourceId.NotFound ResourceId
        tag of=g tags=k:v region=cn-qingdao-env17-d01 => 404 InvalidResourceId.NotFound ResourceId
        untag of=g,sg-none => 404 InvalidResourceId.NotFound ResourceId
        tags kind=sg => 0 []
        tags kind=sg of=g,sg-none as=other => 0 []
        tag of=g tags=a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1,l:1,m:1,n:1,o:1,p:1,q:1,r:1,s:1
        tag of=g tags=t:1
        tag of=g tags=t:2
        tag of=g,v tags=u:1 => 403 QuotaExceed.Tags Tag
        tags kind=vpc => 0 []
        ",
    );
}

#[test]
fn tags_are_searched_by_key_value_and_part() {
    check(
        "
        vpc v
        group a vpc=v tags=env:product,team:gate
        group b vpc=v tags=env:test,owner:gate
        group c vpc=v tags=environment:test
        tags kind=sg tags=env => 2 [a env:product; b env:test]
        tags kind=sg tags=env:test => 1 [b env:test]
        tags kind=sg tags=env:pro* => 1 [a env:product]
        tags kind=sg tags=env:*es*|*none* => 1 [b env:test]
        tags kind=sg tags=env* => 3 [a env:product; b env:test; c environment:test]
        tags kind=sg tags=*env*,team => 2 [a env:product; a team:gate]
        tags kind=sg tags=team,owner => 0 []
        tags kind=sg of=b,c tags=env => 1 [b env:test]
        tags kind=sg of=a max=1 => 2 [a env:product] more
        tags kind=sg max=5 after=sg-0/a tags=*env* => 3 [a env:product; b env:test; \
            c environment:test]
        tags kind=sg max=5 after=sg-0 => 400 InvalidParameter.NextToken NextToken
        ",
    );
}

#[test]
fn a_resource_is_in_one_resource_group() {
    check(
        "
        vpc v resource-group=rg-1
        vswitch s vpc=v cidr=172.16.0.0/24
        group g vpc=v
        eni e vswitch=s groups=g
        regroup v rg-2
        regroup v rg-2 => ok
        vpcs resource-group=rg-1 => 0 []
        vswitches resource-group=rg-2 => 1 [s 172.16.0.0/24 free=251 in=rg-2]
        regroup g rg-2
        groups resource-group=rg-2 => 1 [g [1, 5999, 0, 0]]
        regroup e rg-2
        regroup sg-none rg-2 => 404 InvalidResourceId.NotFound ResourceId
        regroup g rg-3 as=other => 404 InvalidResourceId.NotFound ResourceId
        ",
    );
}
