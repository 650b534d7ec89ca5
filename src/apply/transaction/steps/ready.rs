//! Waiting until a node works and what was applied is ready.

use std::time::{Duration, Instant};

use super::programs::{Ended, KEPT_LONG, execute_long, pause};
use super::workloads::{self, Node, Unready, Wanted};
use super::{StepError, limit};
use crate::apply::Interrupt;

/// Between two lookings.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one answer is waited for.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a cluster that has never answered is asked before it is left at that, and how long a node is waited for that takes what no node does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many things that are not ready are told.
const TOLD: usize = 10;

const ALL: &str = "--all-namespaces";
/// The releases that Helm calls deployed, `NAMESPACE/NAME` each (helm, `pkg/storage/driver/secrets.go`).
const INSTALLED: [&str; 5] = [
    "get",
    "secrets",
    ALL,
    "--selector=owner=helm,status=deployed",
    "--output=jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.labels.name}{\"\\n\"}{end}",
];

/// What is asked, and of whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready<'a> {
    /// The command before its arguments.
    pub(super) kubectl: &'a [String],
    /// Whether it may look at more than its own node.
    pub(super) everything: bool,
    /// What is wanted.
    pub(super) wanted: Wanted<'a>,
}

/// Why nobody knows.
enum Unknown {
    /// It may answer later.
    Silent(String),
    /// It is not what Kubernetes answers.
    Strange(String),
    Interrupted,
}

impl Ready<'_> {
    /// Waits for it. Returns what a person should know: what waits for another node, or that nobody could tell.
    ///
    /// # Errors
    /// [`StepError::NotReady`] with what is not ready after `seconds`, and why.
    pub(super) fn wait(self, seconds: u32, interrupt: &Interrupt) -> Result<Vec<String>, StepError> {
        let begun = Instant::now();
        let (mut has_answered, mut only_for_nodes) = (false, None);
        loop {
            let unready = match self.look(interrupt) {
                Ok(unready) => unready,
                Err(Unknown::Interrupted) => return Err(StepError::Interrupted),
                // What has answered, and does no more, does not work.
                Err(Unknown::Silent(why)) if has_answered => vec![Unready::of(format!("the cluster: {why}"))],
                Err(Unknown::Silent(_)) if begun.elapsed() < PATIENCE.min(limit(seconds)) => {
                    pause(PAUSE, interrupt)?;
                    continue;
                }
                Err(Unknown::Silent(why) | Unknown::Strange(why)) => {
                    return Ok(vec![format!("whether what was applied is ready could not be seen: {why}")]);
                }
            };
            has_answered = true;
            if unready.is_empty() {
                return Ok(Vec::new());
            }
            if unready.iter().all(|one| one.for_a_node) {
                let since: Instant = *only_for_nodes.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE || begun.elapsed() >= limit(seconds) {
                    let told = |one: Unready| format!("{}; it is ready once another node takes it", one.told);
                    return Ok(unready.into_iter().map(told).collect());
                }
            } else {
                only_for_nodes = None;
                if begun.elapsed() >= limit(seconds) {
                    return Err(StepError::NotReady { seconds, unready: self.told(unready, interrupt) });
                }
            }
            pause(PAUSE, interrupt)?;
        }
    }

    fn look(self, interrupt: &Interrupt) -> Result<Vec<Unready>, Unknown> {
        let node: Node = read(&self.ask(&["get", "node", self.wanted.node, "--output=json"], interrupt)?)?;
        let told = workloads::of_node(&node).into_iter();
        let of_node = |why| Unready::of(format!("node {}: {why}", self.wanted.node));
        let mut unready: Vec<Unready> = told.map(of_node).collect();
        if self.everything {
            let all = self.ask(&["get", "deployments,daemonsets,statefulsets", ALL, "--output=json"], interrupt)?;
            let pods = self.ask(&["get", "pods", ALL, "--output=json"], interrupt)?;
            unready.extend(workloads::of_workloads(&read(&all)?, &read(&pods)?, self.wanted));
            if !self.wanted.releases.is_empty() {
                let installed = self.ask(&INSTALLED, interrupt)?;
                unready.extend(workloads::of_releases(&installed, self.wanted.releases));
            }
        }
        Ok(unready)
    }

    fn ask(self, arguments: &[&str], interrupt: &Interrupt) -> Result<String, Unknown> {
        let more = arguments.iter().map(|word| (*word).to_owned());
        let command: Vec<String> = self.kubectl.iter().cloned().chain(more).collect();
        match execute_long(&command, ANSWER, interrupt) {
            Ok(Ended::Well(text)) if text.len() >= KEPT_LONG => Err(Unknown::Strange("it is too much".to_owned())),
            Ok(Ended::Well(text)) => Ok(text),
            Ok(Ended::Badly(why)) => Err(Unknown::Silent(format!("{} {why}", arguments.join(" ")))),
            Err(_) => Err(Unknown::Interrupted),
        }
    }

    /// What is not ready, each with what its pod has said last.
    fn told(self, unready: Vec<Unready>, interrupt: &Interrupt) -> Vec<String> {
        let more = unready.len().saturating_sub(TOLD);
        let one = |one: Unready| match one.pod.and_then(|(namespace, pod)| self.said(&namespace, &pod, interrupt)) {
            Some(said) => format!("{}; {said}", one.told),
            None => one.told,
        };
        let mut told: Vec<String> = unready.into_iter().take(TOLD).map(one).collect();
        told.extend((more > 0).then(|| format!("{more} more")));
        told
    }

    /// The last event that warns of a pod, and the last lines that it has written.
    fn said(self, namespace: &str, pod: &str, interrupt: &Interrupt) -> Option<String> {
        let of = format!("--namespace={namespace}");
        let about = format!("--field-selector=involvedObject.name={pod},type=Warning");
        let last = "--output=jsonpath={.items[-1:].message}";
        let event = self.ask(&["get", "events", &of, &about, "--sort-by=.lastTimestamp", last], interrupt).ok();
        let log = ["logs", &of, pod, "--all-containers", "--tail=3"];
        let log = self.ask(&log, interrupt).ok();
        let line = |text: Option<String>| {
            let text = text?.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
            (!text.is_empty()).then_some(text)
        };
        let event = line(event).map(|event| format!("last event: {event}"));
        let log = line(log).map(|log| format!("it has written: {log}"));
        let both: Vec<String> = event.into_iter().chain(log).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Unknown> {
    workloads::read(text).map_err(|why| Unknown::Strange(format!("kubectl does not print what it should: {why}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const READY: &str = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    const FULL: &str =
        r#"{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"DiskPressure","status":"True"}]}}"#;
    const NONE: &str = r#"{"items":[]}"#;
    const WEB: &str = r#"{"items":[{"kind":"Deployment","metadata":{"name":"web","namespace":"shop"},
        "spec":{"selector":{"matchLabels":{"app":"web"}}},"status":{"availableReplicas":0}}]}"#;

    /// A kubectl that answers with these, each a word of its arguments and what it prints; the last one that fits.
    fn wait(answers: &[(&str, &str)], wanted: &[&str], seconds: u32) -> Result<Vec<String>, StepError> {
        wait_on(answers, "", wanted, seconds)
    }

    /// The same where it does `first` of all.
    fn wait_on(answers: &[(&str, &str)], first: &str, wanted: &[&str], seconds: u32) -> Result<Vec<String>, StepError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kubectl");
        let mut script = format!("#!/bin/sh\n{first}\nanswer=\n");
        for (index, (word, text)) in answers.iter().enumerate() {
            let file = folder.path().join(index.to_string());
            fs::write(&file, text).unwrap();
            script.push_str(&format!("case \"$*\" in *\"{word}\"*) answer={};; esac\n", file.display()));
        }
        script.push_str("[ -s \"$answer\" ] || { echo 'connection refused' >&2; exit 1; }\ncat \"$answer\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (kubectl, wanted) = ([program.display().to_string()], wanted.iter().map(|one| (*one).to_owned()));
        let (workloads, releases): (Vec<String>, Vec<String>) = wanted.partition(|one| one.contains(' '));
        let wanted = Wanted { node: "n1", workloads: &workloads, releases: &releases };
        Ready { kubectl: &kubectl, everything: true, wanted }.wait(seconds, &Interrupt::never())
    }

    fn unready(ended: Result<Vec<String>, StepError>) -> Vec<String> {
        match ended {
            Err(StepError::NotReady { unready, .. }) => unready,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_works_is_not_waited_for() {
        let answers = [("get", NONE), ("get node n1", READY), ("get secrets", "shop/till\n")];
        assert_eq!(wait(&answers, &["shop/till"], 60).unwrap(), [""; 0]);
    }

    #[test]
    fn what_does_not_work_is_told_with_the_reason() {
        let answers = [("get", NONE), ("get node n1", FULL)];
        assert_eq!(unready(wait(&answers, &["shop/till"], 1))[0], "node n1: DiskPressure is True");
        let pod = r#"{"items":[{"metadata":{"name":"web-1","namespace":"shop","labels":{"app":"web"}},
            "status":{"containerStatuses":[{"name":"web","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}]}"#;
        let answers = [
            ("get node n1", READY),
            ("get deployments", WEB),
            ("get pods", pod),
            ("get events --namespace=shop", "Back-off restarting failed container\n"),
            ("logs --namespace=shop web-1", "starting\nno database\n"),
        ];
        let told = unready(wait(&answers, &["Deployment shop/web"], 0));
        assert_eq!(
            told,
            [
                "Deployment shop/web: 0 of 1 ready; pod web-1: container web waits: CrashLoopBackOff; last event: Back-off restarting \
              failed container; it has written: starting | no database"
            ]
        );
        let error = StepError::NotReady { seconds: 5, unready: told };
        assert!(
            error.to_string().starts_with("1 thing is not ready within 5 seconds: Deployment shop/web: "),
            "{error}"
        );
    }

    #[test]
    fn what_waits_for_another_node_is_no_failure() {
        let pod = r#"{"items":[{"metadata":{"name":"web-1","namespace":"shop","labels":{"app":"web"}},"status":{"conditions":
            [{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes"}]}}]}"#;
        let answers = [("get node n1", READY), ("get deployments", WEB), ("get pods", pod)];
        let told = wait(&answers, &["Deployment shop/web"], 0).unwrap();
        assert!(told[0].ends_with("no node takes it: 0/1 nodes; it is ready once another node takes it"), "{told:?}");
    }

    #[test]
    fn what_answers_no_more_is_not_ready() {
        let answers = [("get node n1", FULL), ("get deployments", NONE), ("get pods", NONE)];
        let three_times =
            "echo asked >>\"$0.asked\"; [ $(wc -l <\"$0.asked\") -le 3 ] || { echo 'connection refused' >&2; exit 1; }";
        let told = unready(wait_on(&answers, three_times, &[], 2));
        assert!(told[0].starts_with("the cluster: get ") && told[0].contains("connection refused"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_seen_is_said() {
        for answers in [&[("get", "ready\n")][..], &[("get node n1", "")]] {
            let told = wait(answers, &[], 0).unwrap();
            assert!(told[0].starts_with("whether what was applied is ready could not be seen: "), "{told:?}");
        }
    }
}
