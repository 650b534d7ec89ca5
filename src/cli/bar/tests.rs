use super::*;

const GIB: u64 = 1 << 30;

fn now(stage: Stage, done: u64, total: u64, seconds: u64) -> Now {
    let items =
        vec!["registry.example.org/shop/api:2.3.1".to_owned(), "registry.example.org/shop/web:1.0.0".to_owned()];
    Now { stage, done, total, elapsed: Duration::from_secs(seconds), items, step: None }
}

fn step(number: usize, of: usize, what: &str, seconds: u64, limit: Option<u64>) -> Now {
    let limit = limit.map(Duration::from_secs);
    let step = Step { what: what.to_owned(), limit, number, of, undoes: false };
    Now { step: Some(step), items: Vec::new(), ..now(Stage::Files, 3, 3, seconds) }
}

/// Every kind of moment, as a command goes through them.
fn moments() -> Vec<(Now, Option<u64>)> {
    let long = "wait until the node that was added to the cluster of three servers is ready for what it is to run";
    vec![
        (now(Stage::Content, 0, 0, 0), None),
        (now(Stage::Content, 0, 3 * GIB / 2, 0), None),
        (now(Stage::Content, GIB / 3, 3 * GIB / 2, 7), Some(45 << 20)),
        (now(Stage::Content, 3 * GIB / 2 - 1, 3 * GIB / 2, 40), Some(45 << 20)),
        (now(Stage::Content, 3 * GIB / 2, 3 * GIB / 2, 41), Some(45 << 20)),
        (now(Stage::Sync, 0, 0, 12), None),
        (now(Stage::Unpack, 0, 1, 0), None),
        (now(Stage::Unpack, 3, 12, 65), None),
        (now(Stage::Unpack, 12, 12, 300), None),
        (now(Stage::Archive, 0, 0, 3), None),
        (now(Stage::Names, 1, 4, 0), None),
        (now(Stage::Files, 20, 20, 0), None),
        (step(1, 4, "stop k3s.service", 0, Some(1200)), None),
        (step(2, 4, "start k3s.service", 72, Some(1200)), None),
        (step(3, 4, "copy /var/lib/etcd to /var/lib/carrack/states/0001", 4000, None), None),
        (step(4, 4, long, 59, Some(900)), None),
    ]
}

#[test]
fn a_line_fits_the_terminal() {
    for columns in 1..200 {
        for (moment, rate) in moments() {
            let line = line("installing", &moment, rate, columns);
            assert!(line.width() <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn a_line_says_what_is_done_now() {
    let mut text = String::new();
    for columns in [39, 79, 119] {
        text += &format!("{columns} columns\n");
        for (moment, rate) in moments() {
            text += &format!("{}\n", line("installing", &moment, rate, columns));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_over_is_never_said_to_take_no_time() {
    for (moment, rate) in moments() {
        for columns in [39, 79, 119] {
            let line = line("installing", &moment, rate, columns);
            assert!(!line.contains(" 0 s left") && !line.contains("100"), "{line}");
            assert!(!line.contains('━') || line.contains('─'), "a full bar: {line}");
        }
    }
    let slow = now(Stage::Content, 0, GIB, 5);
    assert!(!line("installing", &slow, Some(0), 119).contains("left"), "nobody knows");
}

#[test]
fn wide_and_hostile_names_take_the_room_that_they_have() {
    let mut moment = now(Stage::Content, 1, 2, 1);
    moment.items = vec!["画像画像画像画像画像画像画像画像画像画像画像画像画像画像画像\x1b[2J\n".to_owned()];
    for columns in 20..120 {
        let line = line("installing", &moment, None, columns);
        assert!(line.width() <= columns && !line.contains('\x1b'), "{columns}: {line:?}");
    }
}

#[test]
fn times_are_for_people() {
    let all = [0, 12, 60, 125, 1200, 3600, 3840, 90000].map(|seconds| time(Duration::from_secs(seconds)));
    assert_eq!(all, ["0 s", "12 s", "1 min", "2 min 5 s", "20 min", "1 h", "1 h 4 min", "25 h"]);
}

#[test]
fn charts_that_are_rendered_are_named_once() {
    let mut moment = now(Stage::Render, 0, 0, 2);
    moment.items = vec!["argo-cd 7.1.0".to_owned(); 2];
    assert_eq!(line("rendering charts", &moment, None, 79).trim_end(), "rendering charts  2 s  argo-cd 7.1.0");
    (moment.done, moment.total) = (2, 4);
    assert_eq!(line("rendering charts", &moment, None, 79).trim_end(), "rendering charts, 2 of 4  2 s  argo-cd 7.1.0");
}
