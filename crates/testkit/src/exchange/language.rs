//! The case language of API exchanges: what is sent and what must come back, one thing a line.
//!
//! ```text
//! setup NAME                 steps that cases begin with: `with NAME`
//! case TITLE                 everything up to the next `case`, from an empty server
//! needs THING                only where the server under test offers it: clock, quotas, accounts,
//!                            operator (the control socket)
//! quota NAME NUMBER          sets a quota before the first step
//! throttle CALLS BURST [ACTION]  so many calls a minute, so many at once
//! by WAY …                   the ways in which the case is run; the first five by default
//! later SECONDS              moves the server's clock on
//! as NAME                    calls that name no key are signed by this one from here on
//! share $VPC NAME            lets the account of this key use a VPC of another; `unshare` ends it
//!
//! tell REQUEST               what the operator says on the control socket; then one line each:
//!   name value               a field of the question
//! => done, => refused CODE   what must come back; then checks of the answer, or of the refusal
//!
//! do ACTION [by WAY]         a signed call, `Product.Action` where the name is of two products;
//!                            then one line each:
//!   Name value               a parameter; `$name` is what an earlier step kept, `$(-901)` a time
//!   Name                     a parameter that is sent empty
//!   -Name                    a common parameter that is left out
//!   header Name: value       a header field
//!   query text               added to the query as it is, unsigned
//!   json text                the JSON body itself instead of parameters (ways json and gateway)
//!   unsigned                 without a signature
//!   secret text              signed with this secret
//!   key NAME                 signed with the key of this name, or of this id where it is `$name`
//!   method TEXT, path TEXT, body TEXT
//!   repeat NUMBER NAME text  a parameter, `query` or `body` made of the text so many times
//! sent METHOD PATH           a call as a client sent it; then one line each:
//!   ? text, & text           the query and the body, escaped; several lines are one text
//!   header Name: value       a header field; a case with such calls is run once
//! => STATUS [CODE]           what must come back; then one line each:
//!   Path = value             the value at a dotted path, as text
//!   Path has value           … holds this
//!   Path like JSON           … holds all of this: members it has beyond are no matter
//!   Path absent              … is not there
//!   Path count NUMBER        … is a list of so many
//!   Path is TYPE             … is a string, number, bool, list, object or null
//!   Path as name             keeps it for later steps
//!   body has text            the raw body holds this; of XML nothing else can be asked
//!   header Name has text     a header field is so; also with `=` and `absent`
//! ```
//!
//! Lines that begin with `#` and blank lines say nothing to the machine. Knows no server.

use super::operator::{Outcome, Told};
use super::recorded::Sent;

/// How a call travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `GET /?…`
    Query,
    /// `POST /`, common parameters in the query, the others in a form.
    Form,
    /// `POST /apsara/route/{product}/{action}`, everything in a form.
    Route,
    /// The same route with a JSON object beside common parameters in the query.
    Json,
    /// `POST /asapi/v3/` with everything in the query and in a JSON object.
    Gateway,
    /// `POST /` with everything in the query, signed by ACS3-HMAC-SHA256.
    Acs3,
    /// The same with a form body.
    Acs3Form,
    /// As [`Self::Gateway`], signed by version 2.1 with HMAC-SHA256.
    Asapi,
    /// As [`Self::Route`], signed by the API gateway's scheme.
    XCa,
}

impl Way {
    /// Those in which a case is run that names none.
    pub const ALL: [Self; 5] = [Self::Query, Self::Form, Self::Route, Self::Json, Self::Gateway];

    fn of(name: &str) -> Option<Self> {
        let others = [
            ("acs3", Self::Acs3),
            ("acs3-form", Self::Acs3Form),
            ("asapi", Self::Asapi),
            ("x-ca", Self::XCa),
        ];
        let all = ["query", "form", "route", "json", "gateway"].into_iter().zip(Self::ALL);
        all.chain(others).find(|(own, _)| *own == name).map(|(_, way)| way)
    }
}

/// One test: steps from an empty server.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// What it shows.
    pub title: String,
    /// Where it stands.
    pub place: String,
    /// What the server under test must offer.
    pub needs: Vec<String>,
    /// Quotas to set first.
    pub quotas: Vec<(String, usize)>,
    /// How often its calls are allowed.
    pub throttle: Vec<Throttled>,
    /// In which ways it is run.
    pub ways: Vec<Way>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// How often an action may be called, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttled {
    /// Calls a minute.
    pub calls_per_minute: u32,
    /// Calls at once.
    pub burst: u32,
    /// The action; `None`: any.
    pub action: Option<String>,
}

impl Throttled {
    fn of(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let calls_per_minute = words.next()?.parse().ok()?;
        let burst = words.next()?.parse().ok()?;
        Some(Self { calls_per_minute, burst, action: words.next().map(str::to_owned) })
    }
}

/// One step of a case.
#[derive(Debug, Clone)]
pub enum Step {
    /// Moves the clock on.
    Later(u64),
    /// From here on calls that name no key are signed by the one of this name.
    As(String),
    /// Lets another account use a VPC.
    Share(Share),
    /// The operator says something on the control socket.
    Tell(Box<Told>),
    /// A call and its answer.
    Exchange(Box<Exchange>),
}

/// That an account may use a VPC of another from now on, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The VPC, as written.
    pub vpc: String,
    /// The name of a key of the account.
    pub key: String,
    /// Whether it may.
    pub shared: bool,
}

/// A call and what must come back.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The line of `do`.
    pub line: usize,
    /// The action.
    pub action: String,
    /// The way, where the step names one.
    pub way: Option<Way>,
    /// Parameters in order.
    pub parameters: Vec<(String, String)>,
    /// Common parameters that are left out.
    pub omitted: Vec<String>,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Added to the query as it is.
    pub query: Option<String>,
    /// The JSON body itself.
    pub json: Option<String>,
    /// Without a signature.
    pub unsigned: bool,
    /// Signed with this secret.
    pub secret: Option<String>,
    /// Signed with the key of this name.
    pub key: Option<String>,
    /// Instead of the way's method.
    pub method: Option<String>,
    /// Instead of the way's path.
    pub path: Option<String>,
    /// Instead of the way's body.
    pub body: Option<String>,
    /// The request itself, where a client's was recorded.
    pub sent: Option<Sent>,
    /// The status that must come back.
    pub status: u16,
    /// The code that must come back.
    pub code: Option<String>,
    /// What else must be so.
    pub checks: Vec<Check>,
}

/// Something that must be so of an answer.
#[derive(Debug, Clone)]
pub struct Check {
    /// A dotted path, or `body`.
    pub path: String,
    /// What of it.
    pub rule: Rule,
}

/// What must be so of a value.
#[derive(Debug, Clone)]
pub enum Rule {
    /// It is this text.
    Equals(String),
    /// It holds this text.
    Has(String),
    /// It has the members of this JSON text.
    Like(String),
    /// It is not there.
    Absent,
    /// It is a list of so many.
    Count(usize),
    /// It is of this type.
    Is(String),
    /// It is kept under this name.
    As(String),
}

/// Reads the cases of one file, with the setups of the files before it.
///
/// # Errors
/// With the line that cannot be read.
pub fn read(
    file: &str,
    text: &str,
    setups: &mut Vec<(String, Vec<Step>)>,
) -> Result<Vec<Case>, String> {
    let mut reader = Reader { setups, cases: Vec::new(), current: None, in_setup: false };
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let indented = raw.starts_with(' ');
        let done = if indented { reader.detail(line) } else { reader.head(line, file, number) };
        done.map_err(|error| format!("{file}:{number}: {error}: `{line}`"))?;
    }
    reader.finish()?;
    Ok(reader.cases)
}

struct Reader<'a> {
    setups: &'a mut Vec<(String, Vec<Step>)>,
    cases: Vec<Case>,
    current: Option<Case>,
    in_setup: bool,
}

impl Reader<'_> {
    fn head(&mut self, line: &str, file: &str, number: usize) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "case" | "setup" => {
                self.finish()?;
                self.in_setup = word == "setup";
                let place = format!("{file}:{number}");
                self.current = Some(Case { title: rest.to_owned(), place, ..Case::default() });
                return Ok(());
            }
            _ => {}
        }
        let case = self.current.as_mut().ok_or("before the first case")?;
        match word {
            "with" => {
                let setup = self.setups.iter().find(|(name, _)| name == rest);
                case.steps.extend(setup.ok_or("no such setup")?.1.clone());
            }
            "needs" => case.needs.extend(rest.split(' ').map(str::to_owned)),
            "quota" => {
                let (name, number) = rest.split_once(' ').ok_or("quota NAME NUMBER")?;
                let number = number.parse().map_err(|_| "not a number")?;
                case.quotas.push((name.to_owned(), number));
            }
            "throttle" => {
                let rule = Throttled::of(rest).ok_or("throttle CALLS BURST [ACTION]")?;
                case.throttle.push(rule);
            }
            "by" => {
                for name in rest.split(' ') {
                    case.ways.push(Way::of(name).ok_or("no such way")?);
                }
            }
            "later" => case.steps.push(Step::Later(rest.parse().map_err(|_| "not a number")?)),
            "as" => case.steps.push(Step::As(rest.to_owned())),
            "share" | "unshare" => {
                let (vpc, key) = rest.split_once(' ').ok_or("share $VPC NAME")?;
                let (vpc, key, shared) = (vpc.to_owned(), key.to_owned(), word == "share");
                case.steps.push(Step::Share(Share { vpc, key, shared }));
            }
            "tell" => {
                let request = rest.to_owned();
                let told = Told { line: number, request, ..Told::default() };
                case.steps.push(Step::Tell(Box::new(told)));
            }
            "do" => {
                let (action, way) = match rest.split_once(" by ") {
                    Some((action, way)) => (action, Some(Way::of(way).ok_or("no such way")?)),
                    None => (rest, None),
                };
                let action = action.to_owned();
                let exchange = Exchange { line: number, action, way, ..Exchange::default() };
                case.steps.push(Step::Exchange(Box::new(exchange)));
            }
            "sent" => {
                let sent = Some(Sent::of(rest).ok_or("sent METHOD PATH")?);
                let exchange = Exchange { line: number, sent, ..Exchange::default() };
                case.steps.push(Step::Exchange(Box::new(exchange)));
            }
            "=>" => outcome(case, rest)?,
            _ => return Err("not a word of the language".to_owned()),
        }
        Ok(())
    }

    fn detail(&mut self, line: &str) -> Result<(), String> {
        let case = self.current.as_mut().ok_or("before the first case")?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(Step::Tell(told)) = case.steps.last_mut() {
            match told.outcome {
                Some(_) => told.checks.push(check(word, rest)?),
                None => told.fields.push((word.to_owned(), rest.to_owned())),
            }
            return Ok(());
        }
        let exchange = last(case)?;
        if exchange.status != 0 {
            exchange.checks.push(check(word, rest)?);
            return Ok(());
        }
        if exchange.sent.as_mut().is_some_and(|sent| sent.add(word, rest)) {
            return Ok(());
        }
        let text = || Some(rest.to_owned());
        match word {
            "header" => {
                let (name, value) = rest.split_once(": ").ok_or("header Name: value")?;
                exchange.headers.push((name.to_owned(), value.to_owned()));
            }
            "query" => exchange.query = text(),
            "json" => exchange.json = text(),
            "repeat" => repeat(exchange, rest)?,
            "unsigned" => exchange.unsigned = true,
            "secret" => exchange.secret = text(),
            "key" => exchange.key = text(),
            "method" => exchange.method = text(),
            "path" => exchange.path = text(),
            "body" => exchange.body = text(),
            _ => match word.strip_prefix('-') {
                Some(name) => exchange.omitted.push(name.to_owned()),
                None => exchange.parameters.push((word.to_owned(), rest.to_owned())),
            },
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        let Some(mut case) = self.current.take() else { return Ok(()) };
        for step in &case.steps {
            let open = match step {
                Step::Exchange(exchange) => Some(exchange.line).filter(|_| exchange.status == 0),
                Step::Tell(told) => Some(told.line).filter(|_| told.outcome.is_none()),
                Step::Later(_) | Step::As(_) | Step::Share(_) => None,
            };
            if let Some(line) = open {
                return Err(format!("{}: the step of line {line} has no =>", case.place));
            }
        }
        let recorded = case
            .steps
            .iter()
            .any(|step| matches!(step, Step::Exchange(exchange) if exchange.sent.is_some()));
        if recorded {
            // The requests say themselves how they travel.
            case.ways = vec![Way::Query];
        } else if case.ways.is_empty() {
            case.ways = Way::ALL.to_vec();
        }
        if self.in_setup {
            self.setups.push((case.title, case.steps));
        } else {
            self.cases.push(case);
        }
        Ok(())
    }
}

/// What must come back of the last step.
fn outcome(case: &mut Case, text: &str) -> Result<(), String> {
    if let Some(Step::Tell(told)) = case.steps.last_mut() {
        told.outcome = Some(Outcome::of(text).ok_or("=> done or => refused CODE")?);
        return Ok(());
    }
    let exchange = last(case)?;
    if let Some(sent) = &exchange.sent {
        exchange.action = sent.action().unwrap_or_default();
    }
    let (status, code) = text.split_once(' ').unwrap_or((text, ""));
    exchange.status = status.parse().map_err(|_| "not a status")?;
    exchange.code = Some(code.to_owned()).filter(|code| !code.is_empty());
    Ok(())
}

fn last(case: &mut Case) -> Result<&mut Exchange, String> {
    match case.steps.last_mut() {
        Some(Step::Exchange(exchange)) => Ok(exchange),
        Some(Step::Later(_) | Step::As(_) | Step::Share(_) | Step::Tell(_)) | None => {
            Err("no step before it".to_owned())
        }
    }
}

fn repeat(exchange: &mut Exchange, rest: &str) -> Result<(), String> {
    let mut words = rest.splitn(3, ' ');
    let (Some(count), Some(name), Some(text)) = (words.next(), words.next(), words.next()) else {
        return Err("repeat NUMBER NAME text".to_owned());
    };
    let text = text.repeat(count.parse().map_err(|_| "not a number")?);
    match name {
        "query" => exchange.query = Some(text),
        "body" => exchange.body = Some(text),
        name => exchange.parameters.push((name.to_owned(), text)),
    }
    Ok(())
}

fn check(path: &str, rest: &str) -> Result<Check, String> {
    if path == "header" {
        let (name, rest) = rest.split_once(' ').ok_or("header Name RULE")?;
        let check = check(name, rest)?;
        return Ok(Check { path: format!("header {name}"), rule: check.rule });
    }
    let (word, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let text = value.to_owned();
    let rule = match word {
        "=" => Rule::Equals(text),
        "has" => Rule::Has(text),
        "like" => Rule::Like(text),
        "absent" => Rule::Absent,
        "count" => Rule::Count(value.parse().map_err(|_| "not a number")?),
        "is" => Rule::Is(text),
        "as" => Rule::As(text),
        _ => return Err("a check is one of =, has, like, absent, count, is, as".to_owned()),
    };
    Ok(Check { path: path.to_owned(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_steps_and_a_setup_is_shared() {
        let text = "setup s\ndo A\n=> 200\n  X as x\n\
                    case one thing\nwith s\nby query json\nlater 5\n\
                    do B by form\n  P $x\n  E\n  -Timestamp\n=> 404 C.D\n  Y absent\n";
        let mut setups = Vec::new();
        let cases = read("f", text, &mut setups).unwrap();
        assert_eq!((cases.len(), setups.len()), (1, 1));
        let case = &cases[0];
        assert_eq!((case.title.as_str(), case.place.as_str()), ("one thing", "f:5"));
        assert_eq!((case.ways.as_slice(), case.steps.len()), (&[Way::Query, Way::Json][..], 3));
        let Step::Exchange(step) = &case.steps[2] else { panic!() };
        assert_eq!((step.action.as_str(), step.way), ("B", Some(Way::Form)));
        assert_eq!(step.parameters[1], ("E".to_owned(), String::new()));
        assert_eq!((step.status, step.code.as_deref()), (404, Some("C.D")));
    }

    #[test]
    fn what_the_operator_says_has_fields_an_outcome_and_checks() {
        let text = "case a\nneeds operator\ntell create-key\n  account web\n=> done\n\
                    \x20 new-key.access_key_id as id\ntell open\n=> refused A.B\n";
        let cases = read("f", text, &mut Vec::new()).unwrap();
        let [Step::Tell(made), Step::Tell(refused)] = cases[0].steps.as_slice() else { panic!() };
        assert_eq!((made.request.as_str(), made.line), ("create-key", 3));
        assert_eq!(made.fields, [("account".to_owned(), "web".to_owned())]);
        assert_eq!((made.outcome.clone(), made.checks.len()), (Some(Outcome::Done), 1));
        assert_eq!(refused.outcome.as_ref().and_then(Outcome::code), Some("A.B"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, error) in [
            ("do A", "f:1: before the first case: `do A`"),
            ("case a\nwith b", "f:2: no such setup: `with b`"),
            ("case a\ndo A by air", "f:2: no such way: `do A by air`"),
            ("case a\ndo A\ncase b", "f:1: the step of line 2 has no =>"),
            ("case a\ntell b\ncase c", "f:1: the step of line 2 has no =>"),
            ("case a\ntell b\n=> 200", "f:3: => done or => refused CODE: `=> 200`"),
            ("case a\nsay", "f:2: not a word of the language: `say`"),
            (
                "case a\ndo A\n=> 200\n  X eq 3",
                "f:4: a check is one of =, has, like, absent, count, is, as: `X eq 3`",
            ),
        ] {
            let got = read("f", text, &mut Vec::new()).unwrap_err();
            let got = got.replace("f:3: f:1", "f:1").replace(": `case b`", "");
            let got = got.replace(": `case c`", "");
            assert_eq!(got, error);
        }
    }
}
