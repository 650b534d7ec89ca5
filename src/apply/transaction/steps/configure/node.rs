//! What a node has for itself: its kubelet's configuration and arguments, its labels and taints.

use std::fs;

use serde_json::Value;

use super::{KUBELET_CONF, Left, Node, PART, PROGRAM, StepError, program, read};
use crate::distro::{Changes, NodeTaint};
use crate::io::AtPath;

const CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// Where kubeadm writes the kubelet's arguments.
const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const VARIABLE: &str = "KUBELET_KUBEADM_ARGS=";

impl Node<'_> {
    pub(super) fn kubelet(&self, changes: &Changes, left: &mut Left) -> Result<(), StepError> {
        let mut restart = self.resumed && changes.restarts().contains(&"kubelet");
        if !changes.kubelet.is_empty() {
            let (config, before) = (self.path(CONFIG), read(&self.path(CONFIG))?);
            let mut command = vec![self.step.kubeadm.clone()];
            command.extend(["upgrade", "node", "phase", "kubelet-config"].map(str::to_owned));
            if !self.wanted.is_server() {
                command.push(format!("--kubeconfig={KUBELET_CONF}"));
            }
            command.extend(self.wanted.patches().map(|folder| format!("--patches={folder}")));
            program("get the kubelet's configuration from the cluster", &command, PROGRAM, self.interrupt)?;
            let after = read(&config)?;
            restart |= after != before;
            let lacks = after.filter(|after| Some(after) == before.as_ref() && !restart);
            let lacks = lacks.map(|text| self.wanted.kubelet_lacks(&changes.kubelet, &text)).unwrap_or_default();
            if !lacks.is_empty() {
                left.kubelet = true;
                left.warnings.push(format!(
                    "the cluster does not have this kubelet configuration yet: {}; apply this version on the first server, and \
                     then here again",
                    lacks.join(", ")
                ));
            }
        }
        restart |= self.arguments(changes)? && changes.restarts().contains(&"kubelet");
        if restart {
            self.restart_kubelet()?;
            self.renewed("kube-node-lease", self.name)?;
        }
        Ok(())
    }

    /// Writes the kubelet's arguments. Whether that has changed anything.
    fn arguments(&self, changes: &Changes) -> Result<bool, StepError> {
        let path = self.path(FLAGS);
        let Some(before) = read(&path)?.filter(|_| !changes.arguments.is_empty()) else { return Ok(false) };
        let after = edited(&before, &changes.arguments);
        if after == before {
            return Ok(false);
        }
        fs::write(&path, after).at("write", &path)?;
        Ok(true)
    }

    pub(super) fn labels_and_taints(&self, changes: &Changes, left: &mut Left) -> Result<(), StepError> {
        let Changes { labels, taints, .. } = changes;
        if labels.is_empty() && taints.is_empty() {
            return Ok(());
        }
        let mut found = Value::Null;
        self.until(&format!("the cluster shows the node {}", self.name), || {
            // What is no JSON shows nothing.
            let asked = self.ask(&["get", "node", self.name, "--output=json"])?;
            Ok(asked.map(|text| found = serde_json::from_str(&text).unwrap_or_default()))
        })?;
        let mut words: Vec<String> = labels.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
        // A label that somebody else has given another value by now is theirs.
        let ours = |(key, value): &&(String, String)| {
            found.is_null() || found["metadata"]["labels"][key].as_str() == Some(value)
        };
        words.extend(labels.removed.iter().filter(ours).map(|(key, _)| format!("{key}-")));
        self.edit("label", &words)?;

        let there = taints_of(&found);
        let is_there = |taint: &&NodeTaint| there.as_ref().is_none_or(|there| there.contains(taint));
        let gone: Vec<String> = taints.removed.iter().filter(is_there).map(|taint| format!("{taint}-")).collect();
        let is_missing = |taint: &&NodeTaint| there.as_ref().is_none_or(|there| !there.contains(taint));
        let words: Vec<String> = taints.set.iter().filter(is_missing).map(NodeTaint::to_string).chain(gone).collect();
        if self.wanted.is_server() {
            return self.edit("taint", &words);
        }
        // A kubelet may label its node and not taint it, says NodeRestriction.
        if there.is_some() && !words.is_empty() {
            left.taints = true;
            left.warnings.push(format!(
                "an agent cannot change its own taints; on a server, run: kubectl taint node {} --overwrite {}",
                self.name,
                words.join(" ")
            ));
        }
        Ok(())
    }

    fn edit(&self, verb: &str, words: &[String]) -> Result<(), StepError> {
        if words.is_empty() {
            return Ok(());
        }
        let mut all = vec![verb, "node", self.name, "--overwrite"];
        all.extend(words.iter().map(String::as_str));
        self.kubectl(&all, &format!("{verb} the node {}", self.name), PART)
    }
}

/// The taints of a node; nothing where none is shown.
fn taints_of(node: &Value) -> Option<Vec<NodeTaint>> {
    let spec = node.get("spec")?;
    let field = |taint: &Value, key: &str| taint[key].as_str().unwrap_or_default().to_owned();
    let taint = |taint: &Value| NodeTaint {
        key: field(taint, "key"),
        value: field(taint, "value"),
        effect: field(taint, "effect"),
    };
    Some(spec["taints"].as_array().map(|all| all.iter().map(taint).collect()).unwrap_or_default())
}

/// The file with other arguments. Those of others stay, in their order.
fn edited(text: &str, arguments: &[(String, Option<String>)]) -> String {
    let line = |line: &str| {
        let Some(value) = line.strip_prefix(VARIABLE) else { return line.to_owned() };
        let name = |word: &str| word.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
        let value = value.trim().trim_matches('"');
        let mut words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        words.retain(|word| !arguments.iter().any(|(changed, _)| *changed == name(word)));
        words.extend(arguments.iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
        format!("{VARIABLE}\"{}\"", words.join(" "))
    };
    let mut text = text.lines().map(line).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_kubelet_come_and_go_and_others_stay() {
        let arguments = [("v".to_owned(), Some("2".to_owned())), ("node-labels".to_owned(), None)];
        let text = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1 --node-labels=a=b --pod-infra-container-image=p\"\n";
        let expected = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1 --pod-infra-container-image=p --v=2\"\n";
        assert_eq!(edited(text, &arguments), expected);
        assert_eq!(edited(expected, &arguments), expected);
        assert_eq!(edited("OTHER=x\n", &arguments), "OTHER=x\n");
    }
}
