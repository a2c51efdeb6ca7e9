//! Instances, which come with interfaces and go with them.
use portcullis_core::command::*;

use super::interfaces::{Entrance, WantedInterface};
use super::model::*;
use super::pair::*;

/// A further interface of new instances.
#[derive(Clone)]
enum Further {
    New(Box<WantedInterface>),
    Existing(String),
}

/// New instances as they are asked for.
struct WantedInstances {
    primary: WantedInterface,
    further: Vec<Further>,
    amount: u8,
    running: bool,
    zone: Option<&'static str>,
    name: Option<String>,
    suffix: bool,
    protected: Option<bool>,
    labels: Labels,
}

impl WantedInstances {
    fn instance(&self) -> NewInstance {
        NewInstance {
            name: maybe(&self.name),
            deletion_protection: self.protected,
            zone: self.zone.map(parsed),
            resource_group: maybe(&self.labels.group),
            tags: tags(&self.labels),
            ..NewInstance::new(self.primary.command())
        }
    }

    fn command(&self) -> Command {
        if !self.running {
            return Command::CreateInstance(Box::new(self.instance()));
        }
        let further = |own: &Further| match own {
            Further::New(own) => FurtherInterface::New(Box::new(own.command())),
            Further::Existing(id) => FurtherInterface::Existing(parsed(id)),
        };
        Command::RunInstances(Box::new(RunInstances {
            instance: self.instance(),
            further: self.further.iter().map(further).collect(),
            amount: self.amount,
            unique_suffix: self.suffix,
        }))
    }

    /// What no order of making them can mend.
    fn refusals(&self) -> Refusals {
        let ids = self.further.iter().filter_map(|own| match own {
            Further::New(_) => None,
            Further::Existing(id) => Some(id),
        });
        let ids: Vec<&String> = ids.collect();
        let twice = ids.len() == 2 && ids[0] == ids[1];
        let shared = self.amount > 1 && (!ids.is_empty() || self.primary.addresses.is_named());
        match twice || shared {
            true => only("InvalidParam.NetworkInterface"),
            false => Refusals::new(),
        }
    }
}

/// What a thing is called until the state has drawn its id.
fn placeholder(number: u8) -> String {
    format!("new-{number}")
}

impl Model {
    /// One instance after the other is made, each with its interfaces.
    fn make(&mut self, who: &Who, wanted: &WantedInstances, now_ms: u64) -> Refusals {
        for number in 0..wanted.amount {
            let mut refusals = self.make_one(who, wanted, number, now_ms);
            if refusals.contains("InvalidIp.IpRepeated") {
                // Where an interface of the same command has it, it is given twice.
                refusals.insert("InvalidPrivateIpAddress.Duplicated".into());
            }
            if !refusals.is_empty() {
                return refusals;
            }
        }
        Refusals::new()
    }

    fn make_one(
        &mut self,
        who: &Who,
        wanted: &WantedInstances,
        number: u8,
        now_ms: u64,
    ) -> Refusals {
        let id = placeholder(number);
        let attached =
            |primary| Some(Attached { instance: placeholder(number), primary, since_ms: now_ms });
        let mut first = wanted.primary.clone();
        first.addresses.primary = first.addresses.primary.map(|own| own + u128::from(number));
        let mut primary = match self.new_interface(who, &first, Entrance::Instance) {
            Ok(own) => own,
            Err(refusals) => return refusals,
        };
        if wanted.zone.is_some_and(|zone| zone != primary.zone) {
            return only("InvalidParameter.Mismatch");
        }
        primary.attached = attached(true);
        self.interfaces.push(primary.clone());
        for further in &wanted.further {
            match further {
                Further::New(own) => {
                    let mut own = match self.new_interface(who, own, Entrance::Instance) {
                        Ok(own) => own,
                        Err(refusals) => return refusals,
                    };
                    let refusals = self.check_attached(&own, &primary);
                    if !refusals.is_empty() {
                        return refusals;
                    }
                    own.attached = attached(false);
                    self.interfaces.push(own);
                }
                Further::Existing(id) => {
                    let Some(own) = who.own(&self.interfaces, id) else {
                        return only("InvalidEniId.NotFound");
                    };
                    let refusals = self.check_attached(own, &primary);
                    if !refusals.is_empty() {
                        return refusals;
                    }
                    get_mut(&mut self.interfaces, id).attached = attached(false);
                }
            }
        }
        let suffixed = |name: &String| match wanted.suffix && wanted.amount > 1 {
            true => format!("{name}{:03}", number + 1),
            false => name.clone(),
        };
        self.instances.push(Instance {
            id,
            owner: who.caller,
            region: primary.region,
            name: wanted.name.as_ref().map(suffixed),
            description: None,
            running: wanted.running,
            protected: wanted.protected.unwrap_or(false),
            started_ms: wanted.running.then_some(now_ms),
            labels: wanted.labels.clone(),
        });
        Refusals::new()
    }

    fn check_delete(&self, id: &str, force: bool) -> Refusals {
        let instance = get(&self.instances, id);
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(instance.protected, "InvalidOperation.DeletionProtection");
        refuse(instance.running && !force, "IncorrectInstanceStatus");
        let bound = |own: &Interface| own.device.is_some() && goes(own);
        refuse(self.interfaces_of(id).any(bound), "InvalidOperation.InvalidEniState");
        refusals
    }

    fn delete_instance(&mut self, id: &str) {
        self.instances.retain(|own| own.id != id);
        let of = |own: &Interface| own.attached.as_ref().is_some_and(|to| to.instance == id);
        self.interfaces.retain(|own| !(of(own) && goes(own)));
        self.interfaces.iter_mut().filter(|own| of(own)).for_each(|own| own.attached = None);
    }
}

/// Whether an interface goes with its instance.
fn goes(own: &Interface) -> bool {
    own.delete_on_release || own.attached.as_ref().is_some_and(|to| to.primary)
}

impl Pair {
    pub(super) fn make_instances(&mut self) {
        let running = self.chance(2);
        let primary = self.some_new_interface();
        let mut further = Vec::new();
        while running && self.chance(3) && further.len() < 2 {
            let mut own = self.some_new_interface();
            if !self.chance(3) {
                own.vswitch.clone_from(&primary.vswitch);
                own.groups.clone_from(&primary.groups);
            }
            further.push(match self.chance(2) {
                true => Further::New(Box::new(own)),
                false => Further::Existing(self.some_interface()),
            });
        }
        let wanted = WantedInstances {
            primary,
            further,
            amount: if running { self.one_of(&[1, 1, 2]) } else { 1 },
            running,
            zone: self.one_of(&[None, None, Some(ZONES[0]), Some(ZONES[1])]),
            name: self.some_text(),
            suffix: self.chance(2),
            protected: self.one_of(&[None, None, Some(false), Some(true)]),
            labels: self.some_labels(),
        };
        let mut aside = self.model.clone();
        let mut refusals = aside.make(&self.who, &wanted, self.harness.now_ms);
        refusals.append(&mut wanted.refusals());
        let Some(outcome) = self.send(&wanted.command(), &refusals) else { return };
        let ids: Vec<String> = match outcome {
            Outcome::Written(Written::Instances(ids)) => {
                ids.iter().map(|id| id.to_string()).collect()
            }
            Outcome::Written(Written::Instance { instance }) => vec![instance.to_string()],
            other => panic!("{other:?}"),
        };
        assert_eq!(ids.len(), usize::from(wanted.amount));
        let named = |id: &str| (0..).zip(&ids).find(|(number, _)| placeholder(*number) == id);
        for own in &mut aside.interfaces {
            if let Some(to) = &mut own.attached
                && let Some((_, id)) = named(&to.instance)
            {
                to.instance.clone_from(id);
            }
        }
        for own in &mut aside.instances {
            if let Some((_, id)) = named(&own.id) {
                own.id.clone_from(id);
            }
        }
        let (new, old) = aside.interfaces.into_iter().partition(|own| own.id.is_empty());
        aside.interfaces = old;
        self.model = aside;
        self.adopt(new);
    }

    fn some_batch(&mut self) -> (Vec<String>, InstanceBatch) {
        let mode =
            self.one_of(&[BatchMode::Single, BatchMode::AllTogether, BatchMode::SuccessFirst]);
        let count = if mode == BatchMode::Single { 1 } else { 1 + self.dice.below(3) };
        let ids: Vec<String> = (0..count).map(|_| self.some_instance()).collect();
        let batch = InstanceBatch { instances: ids.iter().map(|id| parsed(id)).collect(), mode };
        let mut unique: Vec<String> = Vec::new();
        for id in ids {
            if !unique.contains(&id) {
                unique.push(id);
            }
        }
        (unique, batch)
    }

    /// Does the same with several instances; `check` says what keeps one from it.
    fn each(
        &mut self,
        ids: &[String],
        mode: BatchMode,
        command: &Command,
        check: impl Fn(&Model, &Instance) -> Refusals,
        step: impl Fn(&mut Model, &str),
    ) {
        let one = |id: &String| match self.who.own(&self.model.instances, id) {
            None => only("InvalidInstanceId.NotFound"),
            Some(own) => check(&self.model, own),
        };
        let refusals: Vec<Refusals> = ids.iter().map(one).collect();
        let all: Refusals = match mode {
            BatchMode::SuccessFirst => Refusals::new(),
            BatchMode::Single | BatchMode::AllTogether => {
                refusals.iter().flatten().cloned().collect()
            }
        };
        let status = |model: &Model, id: &str| {
            let own = self.who.own(&model.instances, id)?;
            Some(if own.running { "Running" } else { "Stopped" })
        };
        let before: Vec<Option<&str>> = ids.iter().map(|id| status(&self.model, id)).collect();
        let who = self.who.clone();
        let Some(outcome) = self.send(command, &all) else { return };
        for (id, _) in ids.iter().zip(&refusals).filter(|(_, refusals)| refusals.is_empty()) {
            step(&mut self.model, id);
        }
        let responses = match outcome {
            Outcome::Written(Written::Done) if mode == BatchMode::Single => return,
            Outcome::Written(Written::Batch(responses)) => responses,
            other => panic!("{other:?}"),
        };
        assert_eq!(responses.len(), ids.len());
        for (((id, refusals), before), own) in ids.iter().zip(refusals).zip(before).zip(responses) {
            let after = who.own(&self.model.instances, id);
            let after = after.map(|own| if own.running { "Running" } else { "Stopped" });
            assert_eq!(own.instance.to_string(), *id);
            let fits =
                if refusals.is_empty() { own.code == "200" } else { refusals.contains(&own.code) };
            assert!(fits, "{}, not {refusals:?}", own.code);
            assert_eq!(own.previous.map(|own| own.name()), before);
            assert_eq!(own.current.map(|own| own.name()), after);
        }
    }

    pub(super) fn start_or_stop(&mut self) {
        let (starts, (ids, batch)) = (self.chance(2), self.some_batch());
        let (mode, now_ms) = (batch.mode, self.harness.now_ms);
        let command = match starts {
            true => Command::StartInstances(batch),
            false => Command::StopInstances(batch),
        };
        let check = |_: &Model, own: &Instance| match own.running == starts {
            true => only("IncorrectInstanceStatus"),
            false => Refusals::new(),
        };
        self.each(&ids, mode, &command, check, |model, id| {
            let own = get_mut(&mut model.instances, id);
            own.running = starts;
            if starts {
                own.started_ms = Some(now_ms);
            }
        });
    }

    pub(super) fn delete_instances(&mut self) {
        let (force, (ids, batch)) = (self.chance(2), self.some_batch());
        let mode = batch.mode;
        let command = Command::DeleteInstances(DeleteInstances { batch, force });
        let check = |model: &Model, own: &Instance| model.check_delete(&own.id, force);
        self.each(&ids, mode, &command, check, Model::delete_instance);
    }

    pub(super) fn modify_instance(&mut self) {
        let (id, name) = (self.some_instance(), self.some_text());
        let groups = self.chance(2).then(|| self.some_groups());
        let text = self.one_of(&[None, Some(""), Some("text")]);
        let protected = self.one_of(&[None, Some(false), Some(false), Some(true)]);
        let queues = self.one_of(&[None, Some(8)]);
        let ids = groups.as_ref().map(|ids| ids.iter().map(|id| parsed(id)).collect());
        let command = Command::ModifyInstanceAttribute(ModifyInstanceAttribute {
            instance: parsed(&id),
            groups: ids,
            name: maybe(&name),
            description: edit(text),
            host_name: None,
            deletion_protection: protected,
            queue_number: queues,
        });
        if self.who.own(&self.model.instances, &id).is_none() {
            self.send(&command, &only("InvalidInstanceId.NotFound"));
            return;
        }
        let mut primary = self.model.primary_of(&id).clone();
        primary.queues = queues.or(primary.queues);
        let mut refusals = Refusals::new();
        if let Some(groups) = groups {
            match self.model.moved(&self.who, &primary, &groups, Entrance::Interface) {
                Ok(groups) => primary.groups = groups,
                Err(more) => refusals = more,
            }
        }
        if self.send(&command, &refusals).is_some() {
            let instance = get_mut(&mut self.model.instances, &id);
            instance.name = name.or(instance.name.take());
            instance.description = edited(&instance.description, text);
            instance.protected = protected.unwrap_or(instance.protected);
            let own = primary.id.clone();
            *get_mut(&mut self.model.interfaces, &own) = primary;
        }
    }
}
