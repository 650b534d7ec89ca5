//! The user's own helm: found, asked for its version, and made to render a package, in a place where nothing of this
//! machine's configuration, clusters or networks is in reach.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::renders::Renders;
use super::run::{self, Cut, Limits, Ran};
use super::{Chart, ChartError};
use crate::io::AtPath;
use crate::oci::Digest;
use crate::problem::printable;
use crate::progress::{Progress, Stage};

/// How long one run may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// How much one run may write, in bytes.
const OUTPUT_LIMIT: u64 = 64 << 20;
/// How much memory one run may have, in bytes. Few lines of a template can ask for any amount.
const MEMORY_LIMIT: u64 = 2 << 30;
/// How much of what helm complains is kept, in bytes and in lines.
const COMPLAINT: usize = 8 << 10;
const COMPLAINT_LINES: usize = 20;
/// How many runs there are at once, at most; each may have the memory above.
const MOST_AT_ONCE: usize = 4;
/// Marks what keys are made from; another number where that, or what is kept, changes its form.
const KEY: &str = "helm template 1";
/// Where nothing answers: what should not ask a network is not to find one.
const NO_PROXY: &str = "http://127.0.0.1:9";

/// A helm that runs.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    version: String,
    limits: Limits,
    renders: Arc<Renders>,
    progress: Option<Arc<Progress>>,
}

/// What is to be rendered, besides the chart.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'r> {
    /// Its values, one YAML text without placeholders.
    pub values: &'r str,
    /// The version of Kubernetes; helm's own idea of one where absent.
    pub kube_version: Option<&'r str>,
    /// What the cluster's API has besides what Kubernetes has.
    pub api_versions: &'r BTreeSet<String>,
    /// Whether it is an upgrade of the release.
    pub upgrade: bool,
}

/// What one template became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The template's path in the package, such as `templates/deployment.yaml`.
    pub template: String,
    /// The objects, as YAML.
    pub text: String,
}

impl Helm {
    /// The helm at `named`, which is looked for on `path` where it has no folder, else the first on `path`; none where
    /// there is neither.
    ///
    /// # Errors
    /// Where it does not run, or is neither helm 3 nor 4.
    pub fn find(named: Option<&OsStr>, path: Option<&OsStr>) -> Result<Option<Self>, ChartError> {
        let on_path = |name: &OsStr| {
            let folders = std::env::split_paths(path?);
            folders.map(|folder| folder.join(name)).find(|file| is_program(file))
        };
        let program = match named.filter(|named| !named.is_empty()) {
            Some(name) if Path::new(name).parent() == Some(Path::new("")) => {
                let program = PathBuf::from(name);
                Some(
                    on_path(name)
                        .ok_or(ChartError::Unusable { program, reason: "it is not on the path".to_owned() })?,
                )
            }
            Some(named) => Some(PathBuf::from(named)),
            None => on_path(OsStr::new("helm")),
        };
        let Some(program) = program else { return Ok(None) };
        // It is run in another folder.
        let program = std::path::absolute(&program).at("find", &program)?;
        Self::at(program).map(Some)
    }

    fn at(program: PathBuf) -> Result<Self, ChartError> {
        let limits = Limits { time: TIME_LIMIT, output: OUTPUT_LIMIT, memory: MEMORY_LIMIT };
        let renders = Arc::new(Renders::kept_in(None));
        let helm = Self { program, version: String::new(), limits, renders, progress: None };
        let place = tempfile::tempdir().at("create a folder in", &std::env::temp_dir())?;
        let unusable = |reason: String| ChartError::Unusable { program: helm.program.clone(), reason };
        let ran = helm.run(&["version", "--template", "{{.Version}}"].map(OsStr::new), place.path());
        let ran = ran.map_err(|cut| unusable(cut.reason(helm.limits)))?;
        let version = printable(String::from_utf8_lossy(&ran.stdout).trim());
        if !ran.status.success() {
            return Err(unusable(complaint(&ran.stderr).join(" ")));
        }
        let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
        match major {
            "3" | "4" => Ok(Self { version, ..helm }),
            _ => Err(ChartError::HelmVersion { program: helm.program, version }),
        }
    }

    /// The same with other limits on the time and the output of a run.
    #[must_use]
    pub fn with_limits(self, time: Duration, output: u64) -> Self {
        Self { limits: Limits { time, output, ..self.limits }, ..self }
    }

    /// The same, which keeps what it renders in `folder` and takes it from there. Without, it is kept while this lives.
    #[must_use]
    pub fn keeping(self, folder: PathBuf) -> Self {
        Self { renders: Arc::new(Renders::kept_in(Some(folder))), ..self }
    }

    /// The same, which counts its runs in `progress`.
    #[must_use]
    pub fn showing(self, progress: Arc<Progress>) -> Self {
        progress.stage(Stage::Render, 0);
        Self { progress: Some(progress), ..self }
    }

    /// What it says of itself, such as `v3.19.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Renders `package`, the bytes of `chart`'s package, with hooks, tests and CRDs; what was rendered before is taken.
    ///
    /// # Errors
    /// Where helm refuses the chart or its values, cannot be run, or does not end within its limits.
    pub fn render(&self, chart: &Chart, package: &[u8], wanted: Rendering<'_>) -> Result<Vec<Rendered>, ChartError> {
        let rendered = |output: &[u8]| split(&String::from_utf8_lossy(output), &chart.metadata.name);
        let renders = &self.renders;
        let key = self.key(chart, wanted)?;
        if let Some(output) = renders.get(&key) {
            return Ok(rendered(&output));
        }
        if let Some(said) = renders.refused(&key) {
            return Err(refusal(chart, said));
        }
        match self.output(chart, package, wanted) {
            Ok(output) => {
                renders.put(&key, &output);
                Ok(rendered(&output))
            }
            Err(error) => {
                if let ChartError::Render { said, .. } = &error {
                    renders.refuse(key, said);
                }
                Err(error)
            }
        }
    }

    /// Renders all that is `wanted` on several processors, so that it is there when it is asked for. What fails is told then.
    pub fn render_ahead(&self, chart: &Chart, package: &[u8], wanted: &[Rendering<'_>]) {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_AT_ONCE);
        if wanted.len().min(processors) < 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..processors.min(wanted.len()) {
                scope.spawn(|| {
                    while let Some(one) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let _ = self.render(chart, package, *one);
                    }
                });
            }
        });
    }

    /// What a render is made from: this helm, the chart, and all that it is given.
    fn key(&self, chart: &Chart, wanted: Rendering<'_>) -> Result<Digest, ChartError> {
        let program = self.program.canonicalize().at("find", &self.program)?;
        let data = program.metadata().at("examine", &program)?;
        let Rendering { values, kube_version, api_versions, upgrade } = wanted;
        let helm =
            (&self.version, program.as_os_str().as_encoded_bytes(), data.size(), data.mtime(), data.mtime_nsec());
        let of_chart = (chart.digest, &chart.release, &chart.namespace);
        let key = serde_json::to_vec(&(KEY, helm, of_chart, values, kube_version, api_versions, upgrade));
        Ok(Digest::of(&key.map_err(io::Error::other).at("describe", &program)?))
    }

    /// What helm prints.
    fn output(&self, chart: &Chart, package: &[u8], wanted: Rendering<'_>) -> Result<Vec<u8>, ChartError> {
        let progress = self.progress.as_deref();
        progress.inspect(|progress| progress.add_total(1));
        let _running = progress.map(|progress| progress.begin(&chart.title()));
        let output = self.template(chart, package, wanted);
        progress.inspect(|progress| progress.advance(1));
        output
    }

    fn template(&self, chart: &Chart, package: &[u8], wanted: Rendering<'_>) -> Result<Vec<u8>, ChartError> {
        let place = tempfile::tempdir().at("create a folder in", &std::env::temp_dir())?;
        let write = |name: &str, content: &[u8]| -> Result<PathBuf, ChartError> {
            let file = place.path().join(name);
            fs::write(&file, content).at("write", &file)?;
            Ok(file)
        };
        let package = write("chart.tgz", package)?;
        write("values.yaml", wanted.values.as_bytes())?;
        let mut arguments: Vec<&OsStr> = vec!["template".as_ref()];
        arguments.extend(["--namespace", &chart.namespace, "--include-crds", "--values"].map(OsStr::new));
        // Helm takes several files after a comma, and a folder's name may have one.
        arguments.push("values.yaml".as_ref());
        arguments
            .extend(wanted.kube_version.into_iter().flat_map(|version| ["--kube-version", version]).map(OsStr::new));
        arguments.extend(wanted.api_versions.iter().flat_map(|version| ["--api-versions", version]).map(OsStr::new));
        arguments.extend(wanted.upgrade.then_some(OsStr::new("--is-upgrade")));
        arguments.extend([OsStr::new("--"), chart.release.as_ref(), package.as_ref()]);
        let (pack, title) = (chart.pack.clone(), chart.title());
        match self.run(&arguments, place.path()) {
            Ok(ran) if ran.status.success() => Ok(ran.stdout),
            Ok(ran) if ran.had_no_memory() => Err(ChartError::Memory { pack, chart: title, limit: self.limits.memory }),
            Ok(ran) if ran.status.code().is_some() => Err(refusal(chart, complaint(&ran.stderr))),
            Ok(ran) => {
                let reason = format!("it was ended ({}) while it rendered chart {title} of pack {pack}", ran.status);
                Err(ChartError::Unusable { program: self.program.clone(), reason })
            }
            Err(Cut::Time) => Err(ChartError::Timeout { pack, chart: title, limit: self.limits.time }),
            Err(Cut::Size) => Err(ChartError::TooLarge { pack, chart: title, limit: self.limits.output }),
            Err(cut) => Err(ChartError::Unusable { program: self.program.clone(), reason: cut.reason(self.limits) }),
        }
    }

    /// Runs helm with `place`, an empty folder of its own, in place of everything that it would read or write.
    fn run(&self, arguments: &[&OsStr], place: &Path) -> Result<Ran, Cut> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().current_dir(place).process_group(0);
        for (variable, name) in [
            ("HOME", "home"),
            ("TMPDIR", "."),
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
            ("HELM_PLUGINS", "plugins"),
            ("HELM_REGISTRY_CONFIG", "registry.json"),
            ("HELM_REPOSITORY_CACHE", "cache/repository"),
            ("HELM_REPOSITORY_CONFIG", "repositories.yaml"),
            ("KUBECONFIG", "kubeconfig"),
        ] {
            command.env(variable, place.join(name));
        }
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
            command.env(variable, NO_PROXY);
        }
        command.env("HELM_NO_PLUGINS", "1").env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run::to_the_end(command, self.limits)
    }
}

/// The error for what helm `said` when it refused the chart.
fn refusal(chart: &Chart, said: Vec<String>) -> ChartError {
    let template = said.iter().find_map(|line| template_in(line, &chart.metadata.name));
    ChartError::Render { pack: chart.pack.clone(), chart: chart.title(), template, said }
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// What helm complains of, a line each, without its warnings and its advice on flags.
fn complaint(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(COMPLAINT)..]).into_owned();
    let lines = text.lines().map(str::trim_end).filter(|line| {
        let noise = line.starts_with("walk.go") || line.starts_with("WARNING:") || line.contains("level=WARN");
        !line.trim().is_empty() && !noise && !line.starts_with("Use --debug flag")
    });
    lines.take(COMPLAINT_LINES).map(|line| printable(line.strip_prefix("Error: ").unwrap_or(line))).collect()
}

/// The first `CHART/templates/FILE[:LINE[:COLUMN]]` in what helm says, without the chart's own name.
fn template_in(line: &str, chart: &str) -> Option<String> {
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '<' | '>' | ','));
    let word = words.map(|word| word.trim_end_matches(':')).find(|word| word.contains("/templates/"))?;
    Some(word.strip_prefix(chart).and_then(|word| word.strip_prefix('/')).unwrap_or(word).to_owned())
}

/// What `helm template` prints, template by template: each begins with `---` and `# Source: CHART/PATH`.
fn split(output: &str, chart: &str) -> Vec<Rendered> {
    let mut pieces: Vec<Rendered> = Vec::new();
    let mut lines = output.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let source = lines.peek().and_then(|next| next.strip_prefix("# Source: ")).filter(|_| line.trim_end() == "---");
        if let Some(source) = source {
            let source = source.trim();
            let template = source.strip_prefix(chart).and_then(|source| source.strip_prefix('/')).unwrap_or(source);
            pieces.push(Rendered { template: printable(template), text: String::new() });
            lines.next();
            continue;
        }
        match pieces.last_mut() {
            Some(piece) => piece.text.push_str(line),
            // What nothing says the source of is read all the same.
            None => pieces.push(Rendered { template: String::new(), text: line.to_owned() }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program in a folder of its own that behaves as `script` says.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("helm");
        fs::write(&file, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn output_is_split_by_template() {
        let output = "---\n# Source: shop/crds/a.yaml\nkind: A\n---\nkind: B\n---\n# Source: shop/charts/x/templates/b.yaml\nkind: C\n";
        let pieces = split(output, "shop");
        let shown: Vec<(&str, &str)> = pieces.iter().map(|piece| (&*piece.template, &*piece.text)).collect();
        assert_eq!(shown, [("crds/a.yaml", "kind: A\n---\nkind: B\n"), ("charts/x/templates/b.yaml", "kind: C\n")]);
        assert_eq!(split("kind: A\n", "shop")[0].template, "");
        assert_eq!(split("", "shop"), []);
    }

    #[test]
    fn the_template_that_helm_names_is_found() {
        for (line, template) in [
            ("execution error at (shop/templates/x.yaml:3:4): no", "templates/x.yaml:3:4"),
            ("template: shop/templates/x.yaml:1:2: executing \"shop/templates/x.yaml\" at <x>", "templates/x.yaml:1:2"),
            ("YAML parse error on shop/charts/y/templates/z.yaml: error", "charts/y/templates/z.yaml"),
        ] {
            assert_eq!(template_in(line, "shop").as_deref(), Some(template));
        }
        assert_eq!(template_in("chart requires kubeVersion: >=9", "shop"), None);
    }

    #[test]
    fn what_is_not_helm_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Helm::find(None, None).unwrap().is_none());
        assert!(Helm::find(None, Some(folder.path().as_os_str())).unwrap().is_none());
        let missing = Helm::find(Some(OsStr::new("/nowhere/helm")), None).unwrap_err().to_string();
        assert_eq!(missing, "/nowhere/helm does not run as helm: No such file or directory (os error 2)");
        for (script, says) in [
            ("echo v2.17.0", "is helm v2.17.0, and 3 or 4 is needed"),
            ("echo 'no such flag' >&2; exit 1", "does not run as helm: no such flag"),
            ("echo", "is helm , and 3 or 4 is needed"),
        ] {
            program(folder.path(), script);
            let error = Helm::find(None, Some(folder.path().as_os_str())).unwrap_err().to_string();
            assert!(error.ends_with(says), "{error}");
        }
        program(folder.path(), "[ -z \"$SECRET\" ] && [ \"$PWD/home\" = \"$HOME\" ] && echo v4.3");
        assert_eq!(Helm::find(None, Some(folder.path().as_os_str())).unwrap().unwrap().version(), "v4.3");
    }

    #[test]
    fn a_helm_without_end_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = program(folder.path(), "echo v3.1");
        let helm = Helm::at(file).unwrap().with_limits(Duration::from_millis(100), 1000);
        program(folder.path(), "sleep 600 & wait");
        assert!(matches!(helm.run(&[], folder.path()), Err(Cut::Time)));
        program(folder.path(), "yes");
        let patient = helm.with_limits(Duration::from_secs(300), 1000);
        assert!(matches!(patient.run(&[], folder.path()), Err(Cut::Size)));
    }
}
