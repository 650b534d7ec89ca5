//! One table of everything that a variable's value can come from.

use super::*;
use crate::variables::Format;
use crate::yaml::parse;

fn given(list: &[(&str, &str)], file: &str) -> Vec<Given> {
    let one = |(name, text): &(&str, &str)| Given {
        name: (*name).to_owned(),
        written: Written::Text((*text).to_owned()),
        file: file.into(),
        at: (file != "--set").then_some(Position::START),
    };
    list.iter().map(one).collect()
}

fn declared(name: &str, change: impl FnOnce(&mut Variable)) -> Vec<Variable> {
    let mut variable = Variable { name: name.to_owned(), ..Variable::default() };
    change(&mut variable);
    vec![variable]
}

struct Row<'r>(Vec<Variable>, &'r [(&'r str, &'r str)], &'r [(&'r str, &'r str)], &'r [(&'r str, &'r str)]);

/// The values in a line, or the problems line by line.
fn outcome(Row(declared, set, site, installed): &Row<'_>, ask: Option<Ask<'_>>) -> String {
    let installed = installed.iter().map(|(name, value)| {
        let value = InstalledValue::Value { value: (*value).to_owned(), default: false, plain: true };
        ((*name).to_owned(), value)
    });
    let installed = installed.collect();
    let (set, site) = (given(set, "--set"), given(site, "site.yaml"));
    let known = Known { declared, set: &set, site: &site, installed: &installed, bundle: Path::new("b") };
    match resolve(known, ask) {
        Ok(values) => values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn values_come_from_the_first_place_that_has_one() {
    let plain = || declared("x", |_| {});
    let default = || declared("x", |x| x.default = Some("default".to_owned()));
    let required = || declared("x", |x| x.required = true);
    let immutable = || declared("x", |x| (x.immutable, x.default) = (true, Some("default".to_owned())));
    let read_only = || declared("x", |x| (x.read_only, x.default) = (true, Some("default".to_owned())));
    let secret = || declared("x", |x| (x.sensitive, x.immutable, x.required) = (true, true, true));
    let number = || declared("x", |x| (x.format, x.required) = (Format::Number, true));
    for (row, expected) in [
        (Row(plain(), &[], &[], &[]), ""),
        (Row(default(), &[], &[], &[]), "x=default"),
        (Row(default(), &[], &[], &[("x", "old")]), "x=old"),
        (Row(default(), &[], &[("x", "site")], &[("x", "old")]), "x=site"),
        (Row(default(), &[("x", "set")], &[("x", "site")], &[("x", "old")]), "x=set"),
        (Row(default(), &[("x", "")], &[], &[("x", "old")]), "x="),
        (Row(plain(), &[], &[], &[("gone", "old")]), ""),
        (Row(required(), &[], &[], &[("x", "old")]), "x=old"),
        (Row(required(), &[], &[], &[]), "b: variable x has no value; give any text with --set x=VALUE or --site FILE"),
        (
            Row(
                declared("x", |x| (x.required, x.sensitive, x.description) = (true, true, "A secret".to_owned())),
                &[],
                &[],
                &[],
            ),
            "b: variable x (A secret) has no value; give any text in a site file: --site FILE",
        ),
        (Row(immutable(), &[("x", "old")], &[], &[("x", "old")]), "x=old"),
        (Row(immutable(), &[], &[], &[("x", "old")]), "x=old"),
        (
            Row(immutable(), &[("x", "new")], &[], &[("x", "old")]),
            "--set: variable x is immutable: this host has \"old\" and would get \"new\"",
        ),
        (
            Row(immutable(), &[], &[("x", "new")], &[("x", "old")]),
            "site.yaml:1:1: variable x is immutable: this host has \"old\" and would get \"new\"",
        ),
        (
            Row(secret(), &[], &[("x", "canary")], &[("x", "canary-before")]),
            "site.yaml:1:1: variable x is immutable: this host has •••• and would get ••••",
        ),
        (Row(read_only(), &[], &[], &[("x", "old")]), "x=default"),
        (Row(read_only(), &[("x", "default")], &[], &[]), "--set: variable x is read-only: it cannot be set"),
        (
            Row(
                declared("x", |x| (x.read_only, x.immutable, x.default) = (true, true, Some("2".to_owned()))),
                &[],
                &[],
                &[("x", "1")],
            ),
            "b: variable x is immutable: this host has \"1\" and would get \"2\"",
        ),
        (Row(number(), &[("x", "7")], &[], &[]), "x=7"),
        (
            Row(number(), &[("x", "7a")], &[("x", "b")], &[]),
            "--set: variable x is \"7a\", expected a number such as 42, -7 or 1.5\nsite.yaml:1:1: variable x is \"b\", expected a number such as 42, -7 or 1.5",
        ),
        (
            Row(number(), &[], &[], &[("x", "old")]),
            "b: variable x is \"old\", expected a number such as 42, -7 or 1.5; that is what this host has, give another",
        ),
        (
            Row(default(), &[("xx", "1")], &[("nothing", "1")], &[]),
            "--set: variable xx is not in this bundle; it has x\nsite.yaml:1:1: variable nothing is not in this bundle; it has x",
        ),
        (Row(Vec::new(), &[("x", "1")], &[], &[]), "--set: variable x is not in this bundle; it has no variables"),
        (
            Row(declared("adminPassword", |_| {}), &[], &[("adminPasswrod", "canary")], &[]),
            "site.yaml:1:1: variable adminPasswrod is not in this bundle; did you mean adminPassword?",
        ),
    ] {
        assert_eq!(outcome(&row, None), expected);
    }
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let mut declared = declared("x", |x| x.required = true);
    declared.extend(self::declared("y", |y| (y.required, y.format) = (true, Format::Number)));
    declared.extend(self::declared("z", |_| {}));
    let mut asked = Vec::new();
    let mut ask = |variable: &Variable| {
        asked.push(variable.name.clone());
        Some("7".to_owned())
    };
    assert_eq!(outcome(&Row(declared.clone(), &[("x", "1")], &[], &[]), Some(&mut ask)), "x=1 y=7");
    assert_eq!(asked, ["y"]);
    // Nobody is asked while something else is wrong, or where the answers would not be enough.
    let mut never = |_: &Variable| panic!("asked");
    assert!(
        outcome(&Row(declared.clone(), &[("q", "1")], &[], &[]), Some(&mut never)).starts_with("--set: variable q")
    );
    declared[0].hidden = true;
    assert_eq!(outcome(&Row(declared.clone(), &[], &[], &[]), Some(&mut never)).lines().count(), 2);
    declared[0].hidden = false;
    assert_eq!(outcome(&Row(declared.clone(), &[], &[], &[]), Some(&mut |_| None)).lines().count(), 2);
    let wrong = outcome(&Row(declared, &[("x", "1")], &[], &[]), Some(&mut |_| Some("b".to_owned())));
    assert_eq!(wrong, "b: variable y is \"b\", expected a number such as 42, -7 or 1.5");
}

#[test]
fn what_yaml_reads_as_something_else_is_told() {
    let parsed = parse("[1.10, true, yes, null, [canary], 0x1F, True]");
    let nodes = parsed.documents[0].items();
    let outcome = |index: usize, format: Format| {
        let declared = declared("x", |x| x.format = format);
        let site =
            [Given { name: "x".into(), written: Written::Yaml(nodes[index].clone()), file: "s".into(), at: None }];
        let known =
            Known { declared: &declared, set: &[], site: &site, installed: &Installed::new(), bundle: Path::new("b") };
        resolve(known, None).map_or_else(|problems| problems.to_string(), |values| values["x"].clone())
    };
    assert_eq!(outcome(0, Format::Number), "1.10");
    assert_eq!(outcome(0, Format::String), "s: variable x must be text, found a number; write it in quotes");
    assert_eq!(outcome(1, Format::Boolean), "true");
    assert_eq!(outcome(6, Format::Boolean), "true");
    assert_eq!(outcome(1, Format::String), "s: variable x must be text, found a truth value; write it in quotes");
    assert_eq!(outcome(2, Format::String), "yes");
    assert_eq!(outcome(2, Format::Boolean), "s: variable x is \"yes\", expected true or false");
    assert_eq!(outcome(3, Format::String), "s: variable x has no value; an empty text is written \"\"");
    assert_eq!(outcome(4, Format::String), "s: variable x must be a single value, found a list");
    assert_eq!(outcome(5, Format::Number), "s: variable x is \"0x1F\", expected a number such as 42, -7 or 1.5");
}
