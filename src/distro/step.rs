//! What is done on a host besides putting files: units, programs, waiting. Data, so that journals and receipts have it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// In a step that saves or restores a cluster's state: the folder of the copy.
pub const SAVED: &str = "@SAVED@";
/// In a step: `foreign` where a folder that the distribution fills is not Carrack's own to remove, nothing otherwise. Steps take it
/// for `foreign` where nothing is put in its place: whose the folders of a prepared system are is known at its first start.
pub const FOREIGN: &str = "@FOREIGN@";

impl Step {
    /// The unit that it starts, where it does that.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Start { unit, .. } => Some(unit),
            _ => None,
        }
    }

    /// The program that it runs once, and its arguments.
    pub fn command(&self) -> Option<&[String]> {
        match self {
            Self::Run { command, .. } => Some(command),
            _ => None,
        }
    }

    /// How the node gets what has changed of its configuration, where it does that.
    pub fn configure(&self) -> Option<&Configure> {
        match self {
            Self::Configure(configure) => Some(configure),
            _ => None,
        }
    }

    /// What takes it back, where it is a program that says so.
    pub fn undone(&self) -> Option<Self> {
        match self.clone() {
            Self::Run { what, undo: Some(command), seconds, .. } => {
                Some(Self::Run { what: format!("undo: {what}"), command, unless: None, undo: None, seconds })
            }
            Self::Folder { path } => Some(Self::Remove { path }),
            _ => None,
        }
    }

    /// The same with `word` replaced by `text` in programs' arguments and paths.
    #[must_use]
    pub fn with(&self, word: &str, text: &str) -> Self {
        let fill = |one: &String| one.replace(word, text);
        match self.clone() {
            Self::Run { what, command, unless, undo, seconds } => {
                let command = command.iter().map(fill).collect();
                let undo = undo.map(|undo| undo.iter().map(fill).collect());
                Self::Run { what, command, unless: unless.as_ref().map(fill), undo, seconds }
            }
            Self::Load { what, command, seconds } => {
                Self::Load { what, command: command.iter().map(fill).collect(), seconds }
            }
            Self::Wait { what, command, seconds } => {
                Self::Wait { what, command: command.iter().map(fill).collect(), seconds }
            }
            Self::Copy { from, to, unless, over } => {
                Self::Copy { from: fill(&from), to: fill(&to), unless: unless.as_ref().map(fill), over }
            }
            Self::Folder { path } => Self::Folder { path: fill(&path) },
            Self::Remove { path } => Self::Remove { path: fill(&path) },
            other => other,
        }
    }
}

/// How a machine joins its cluster where the program takes a secret as an argument only, which all users of the host could
/// see: it is sent to the program's socket, as the body of a request of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// What that is for, for people: `join the cluster`.
    pub what: String,
    /// The socket.
    pub socket: String,
    /// The path that is asked for.
    pub request: String,
    /// What the node is called in the cluster.
    pub name: String,
    /// Where the cluster is, `https://HOST:PORT`: the node has the address from which that is reached, unless it has another.
    pub server: String,
    /// The address that the node has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port of the node itself.
    pub port: u16,
    /// The file with the token.
    pub token: String,
    /// The file with the configuration of the node.
    pub config: String,
    /// A path within the root without which there is nothing to join.
    pub when: String,
    /// Seconds until it is given up.
    pub seconds: u32,
}

/// A node that kubeadm has made gets what has changed of its configuration since: what it has is compared with what its files say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configure {
    /// kubeadm.
    pub kubeadm: String,
    /// `kubectl`, with what it needs before its arguments.
    pub kubectl: Vec<String>,
    /// What the node is called; what the machine is, where empty.
    pub node: String,
    /// The folder of the configuration, where it is remembered too what the node has.
    pub folder: String,
    /// Seconds until it is given up.
    pub seconds: u32,
}

impl Configure {
    /// The file with kubeadm's configuration.
    pub fn config(&self) -> String {
        format!("{}/config.yaml", self.folder)
    }

    /// The file with what a node that has joined is to have of the whole cluster's.
    pub fn cluster(&self) -> String {
        format!("{}/cluster.yaml", self.folder)
    }

    /// There once the node was made.
    pub fn made(&self) -> String {
        format!("{}/made", self.folder)
    }

    /// The file with what the node has.
    pub fn applied(&self) -> String {
        format!("{}/applied.yaml", self.folder)
    }

    /// The file with what it is getting; there where that was begun and not ended.
    pub fn applying(&self) -> String {
        format!("{}/applying.yaml", self.folder)
    }
}

/// Something that is done on the running host. Each can be done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// A systemd unit is enabled and started, and waited for until systemd calls it active. Started again where it runs
    /// already and what it reads has changed, which the plan knows.
    Start {
        /// Its name, with its ending.
        unit: String,
        /// Whether it is started again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        restart: bool,
    },
    /// A systemd unit is stopped, where it runs.
    Stop {
        /// Its name, with its ending.
        unit: String,
    },
    /// A systemd unit is stopped and no longer started with the host.
    Disable {
        /// Its name, with its ending.
        unit: String,
    },
    /// A systemd unit is started with the host from now on, or no longer; whether it runs now is left alone.
    Enabled {
        /// Its name, with its ending.
        unit: String,
        /// Whether it is.
        enabled: bool,
    },
    /// A program is run to its end, which must be a good one.
    Run {
        /// What that is for, for people: `join the cluster`.
        what: String,
        /// The program, as an absolute path, and its arguments.
        command: Vec<String>,
        /// A path within the root that says that it has been done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unless: Option<String>,
        /// What takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Vec<String>>,
        /// Seconds until it is given up.
        seconds: u32,
    },
    /// A program is run to its end, which must be a good one, by which the system takes up what is in files: also after they
    /// were put back or removed.
    Load {
        /// What that is for, for people: `trust the site's authorities`.
        what: String,
        /// The program, as an absolute path, and its arguments.
        command: Vec<String>,
        /// Seconds until it is given up.
        seconds: u32,
    },
    /// A program is run again and again until it ends well.
    Wait {
        /// What is waited for: `the API server answers`.
        what: String,
        /// The program, as an absolute path, and its arguments.
        command: Vec<String>,
        /// Seconds until it is given up.
        seconds: u32,
    },
    /// A node, and what was applied, are waited for until they are ready. What is not is an error that says why.
    Ready {
        /// `kubectl`, with what it needs before its arguments.
        kubectl: Vec<String>,
        /// The node.
        node: String,
        /// Whether that may look at more than its own node: workloads, and the cluster's DNS.
        everything: bool,
        /// What was applied: `Deployment NAMESPACE/NAME`, and the same of a `DaemonSet` and a `StatefulSet`.
        workloads: Vec<String>,
        /// The releases of charts, whose workloads count too: `NAMESPACE/NAME`.
        releases: Vec<String>,
        /// Seconds until it is given up.
        seconds: u32,
    },
    /// A machine joins its cluster through a socket of the machine's own.
    Join(Join),
    /// A node that kubeadm has made gets what has changed of its configuration.
    Configure(Configure),
    /// A folder or file is copied with everything below it, and the copy is read again and compared. Links and mount points are
    /// followed on both sides and stay. Nothing where there is none.
    Copy {
        /// From where.
        from: String,
        /// To where.
        to: String,
        /// A path within the root that says that it is not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unless: Option<String>,
        /// Whether what is in the target besides stays; otherwise that becomes just what is copied.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over: bool,
    },
    /// A folder for a copy of the cluster's state is made, and emptied where it is there.
    Folder {
        /// Its path.
        path: String,
    },
    /// What containers have left is ended: processes in the control groups of this kubelet's pods and of this unit, and what is
    /// mounted for them.
    Sweep {
        /// The unit that started them, where its control group goes too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// The folder of the distribution's data, where it has a runtime of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// The folder of that runtime's state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// The kubelet's folder.
        kubelet: String,
        /// Network interfaces that the distribution makes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        interfaces: Vec<String>,
    },
    /// What was made at a path since the installation is removed, a folder with everything below it, as the record of what was
    /// there before allows.
    Remove {
        /// Its path.
        path: String,
    },
}

/// A step for people: `start k3s.service`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { unit, restart: false } => write!(f, "start {unit}"),
            Self::Start { unit, restart: true } => write!(f, "restart {unit}"),
            Self::Stop { unit } => write!(f, "stop {unit}"),
            Self::Disable { unit } => write!(f, "disable {unit}"),
            Self::Enabled { unit, enabled: true } => write!(f, "enable {unit}"),
            Self::Enabled { unit, enabled: false } => write!(f, "no longer start {unit} with the host"),
            Self::Run { what, command, .. } | Self::Load { what, command, .. } => {
                write!(f, "run {}: {what}", command.first().map_or("", String::as_str))
            }
            Self::Wait { what, .. } => write!(f, "wait until {what}"),
            Self::Ready { node, everything: false, .. } => write!(f, "wait until the node {node} takes pods"),
            Self::Ready { .. } => f.write_str("wait until what was applied is ready"),
            Self::Join(join) => write!(f, "{} at {}", join.what, join.socket),
            Self::Configure(_) => f.write_str("bring what has changed of its configuration to the node"),
            Self::Copy { from, to, .. } => write!(f, "copy {from} to {to}"),
            Self::Folder { path } => write!(f, "make the folder {path}"),
            Self::Sweep { .. } => write!(f, "end its containers: processes, mounts and network interfaces"),
            Self::Remove { path } => write!(f, "remove {path} with all that is in it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_words() {
        let command = vec!["/usr/local/bin/reset".to_owned(), "--force".to_owned()];
        let run = Step::Run { what: "reset the node".to_owned(), command, unless: None, undo: None, seconds: 1 };
        assert_eq!(run.to_string(), "run /usr/local/bin/reset: reset the node");
        let remove = Step::Remove { path: "/var/lib/rancher".to_owned() };
        assert_eq!(remove.to_string(), "remove /var/lib/rancher with all that is in it");
        assert_eq!(Step::Disable { unit: "k3s.service".to_owned() }.to_string(), "disable k3s.service");
        assert_eq!(Step::Start { unit: "a.service".to_owned(), restart: true }.to_string(), "restart a.service");
    }
}
