//! Charts: rendered with every combination of values, and read as manifests are.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::api::{self, Cluster};
use super::assignments::{Reading, inline_defaults, under_all, used};
use super::collect::Collector;
use super::{Options, annotations, unrendered};
use crate::chart::{self, Chart, ChartError, Conditions, Helm, Part, Rendered, Rendering, Tree, parts};
use crate::objects;
use crate::oci::Digest;
use crate::problem::{Problem, Source, read_document};
use crate::profile::{Distribution, Profile};
use crate::variables::samples::{self, assignments, is_fixed};
use crate::variables::template::{Around, fill, scan};
use crate::variables::{Values, Variable};

/// A chart that is opened, and how it is read.
struct Open<'p> {
    chart: &'p Chart,
    package: Vec<u8>,
    tree: Tree,
    /// What was found in what templates became, by that: most of it is the same with other values.
    read: RefCell<HashMap<Digest, (Collector<'p>, BTreeSet<String>)>>,
}

/// How often charts are rendered for what the charts before have added to the API.
const ROUNDS: usize = 4;

/// Reads all of the profile's charts.
///
/// # Errors
/// Every chart that cannot be read or rendered.
pub(super) fn read<'p>(
    profile: &'p Profile,
    charts: &'p [Chart],
    options: Options<'_>,
    collector: &mut Collector<'p>,
) -> Result<(), Vec<ChartError>> {
    if charts.is_empty() {
        return Ok(());
    }
    let mut cluster = Cluster::of(profile, options, collector);
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    for chart in charts {
        match chart.open() {
            Ok((package, tree)) => opened.push(Open { chart, package, tree, read: RefCell::default() }),
            Err(error) => errors.push(error),
        }
    }
    let mut defined = BTreeSet::new();
    for open in &opened {
        errors.extend(open.read(&profile.variables, &cluster, options, collector, &mut defined).err());
    }
    // A chart may install more where the cluster has what another chart of the profile defines, and so on.
    defined.extend(api::manifests_define(profile));
    for _ in 0..ROUNDS {
        let Some(helm) = options.helm.filter(|_| errors.is_empty() && cluster.learns(&defined)) else { break };
        for open in opened.iter().filter(|open| open.asks_api_versions()) {
            errors.extend(open.render(helm, &profile.variables, &cluster, collector, &mut defined).err());
        }
    }
    warn_of_the_installer(profile, &opened, collector);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// k3s and RKE2 install charts with a job, whose image nothing in a chart names.
fn warn_of_the_installer(profile: &Profile, opened: &[Open<'_>], collector: &mut Collector<'_>) {
    let named = profile.packs.iter().find_map(|pack| pack.distribution);
    let (Some(distribution @ (Distribution::K3s | Distribution::Rke2)), [first, ..]) = (named, opened) else { return };
    if !collector.images().keys().any(|image| image.repository().ends_with("klipper-helm")) {
        collector.warned(first.problem(format!(
            "{distribution} installs charts with an image of its own, docker.io/rancher/klipper-helm, which is not among the \
             profile's: add the one of your release to `images`, or the release's list to `imageLists`"
        )));
    }
}

/// A chart may refuse what stands for a variable's value.
fn with_samples(mut error: ChartError, used: &[&Variable], around: &samples::Around) -> ChartError {
    if let (ChartError::Render { said, .. }, Ok(all)) = (&mut error, assignments(used, around)) {
        let free = all.first().map(|assignment| &assignment.free[..]).unwrap_or_default();
        let names: Vec<&str> = free.iter().map(|free| &*free.name).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            // As the schema checks of helm 3 and of helm 4 have it, and older ones.
            let quoted = ["got string, want", "given: string"].map(|told| said.iter().any(|line| line.contains(told)));
            if quoted.contains(&true) {
                said.push(
                    "where the value stands in quotes in the chart's values, leave them out: without quotes a number stays a number, \
                     and true stays true"
                        .to_owned(),
                );
            }
            said.push(format!(
                "samples were filled in for variable {names}; where the chart refuses them, give it `options`, a `regex` or a \
                 `format` that the chart takes"
            ));
        }
    }
    error
}

impl<'p> Open<'p> {
    /// Whether the chart, or a text that it is given to render, asks what the API has, and it may show in an image.
    fn asks_api_versions(&self) -> bool {
        let given = self.chart.values.iter().any(|layer| layer.text.contains("APIVersions"));
        given || (self.tree.any(|tree| tree.asks_api_versions) && chart::depends_on(&self.tree, &["APIVersions"]))
    }

    fn asks_cluster(&self) -> bool {
        let given = self.chart.values.iter().any(|layer| layer.text.contains("{{") && layer.text.contains("lookup "));
        given || self.tree.any(|tree| tree.asks_cluster)
    }

    fn asks_upgrade(&self) -> bool {
        let given =
            self.chart.values.iter().any(|layer| layer.text.contains("IsUpgrade") || layer.text.contains("IsInstall"));
        given || (self.tree.any(|tree| tree.asks_upgrade) && chart::depends_on(&self.tree, &["IsUpgrade", "IsInstall"]))
    }

    /// Reads what the chart renders to, or what it says of itself.
    fn read(
        &self,
        variables: &[Variable],
        cluster: &Cluster,
        options: Options<'_>,
        collector: &mut Collector<'p>,
        defined: &mut BTreeSet<String>,
    ) -> Result<(), ChartError> {
        let (pack, title) = (self.chart.pack.clone(), self.chart.title());
        if self.asks_cluster() {
            collector.warned(self.problem(format!(
                "chart {title} of pack {pack} uses `lookup`, which finds nothing before there is a cluster: what it installs \
                 only where it finds something is not seen; name those images in `images`"
            )));
        }
        match options.helm {
            Some(helm) => self.render(helm, variables, cluster, collector, defined),
            None if options.allow_unrendered => {
                let message = format!(
                    "chart {title} of pack {pack} is not rendered: only the images that its annotations and values name are \
                     found, and there may be more"
                );
                collector.warned(self.problem(message));
                self.with_values(
                    variables,
                    collector,
                    |_| {},
                    |values, collector| {
                        self.parts(values, collector, |part, collector| unrendered::read(self.chart, part, collector))
                    },
                )
            }
            None => Err(ChartError::NoHelm { pack, chart: title }),
        }
    }

    fn render(
        &self,
        helm: &Helm,
        variables: &[Variable],
        cluster: &Cluster,
        collector: &mut Collector<'p>,
        defined: &mut BTreeSet<String>,
    ) -> Result<(), ChartError> {
        let upgrades: &[bool] = if self.asks_upgrade() { &[false, true] } else { &[false] };
        let (kube_version, api_versions) = (cluster.version(), cluster.api_versions());
        let base = Rendering { values: "", kube_version, api_versions, upgrade: false };
        // Processors beside this one render what is read next; what fails is told when it is read.
        let ahead = |all: &[Values]| {
            let texts: Vec<String> = all.iter().filter_map(|values| self.merged(values, variables).ok()).collect();
            let all = texts
                .iter()
                .flat_map(|text| upgrades.iter().map(|upgrade| Rendering { values: text, upgrade: *upgrade, ..base }));
            helm.render_ahead(self.chart, &self.package, &all.collect::<Vec<_>>());
        };
        self.with_values(variables, collector, ahead, |values, collector| {
            self.parts(values, collector, |_, _| {})?;
            for upgrade in upgrades {
                for piece in helm.render(self.chart, &self.package, Rendering { values, upgrade: *upgrade, ..base })? {
                    self.piece(&piece, collector, defined);
                }
            }
            Ok(())
        })
    }

    /// Reads the objects of one template.
    fn piece(&self, piece: &Rendered, collector: &mut Collector<'p>, defined: &mut BTreeSet<String>) {
        // What is only a comment has no objects, and that is all right.
        let blank = |line: &str| line.trim().is_empty() || line.starts_with('#') || line.trim_end() == "---";
        if piece.text.lines().all(blank) {
            return;
        }
        let key = Digest::of(format!("{}\n{}", piece.template, piece.text).as_bytes());
        let mut read = self.read.borrow_mut();
        let (found, kinds) = read.entry(key).or_insert_with(|| {
            let shown = format!("pack {}, chart {}, rendered {}", self.chart.pack, self.chart.title(), piece.template);
            let mut found = collector.fresh();
            found.enter_chart(self.chart, &piece.template);
            objects::read_rendered(&Source::new(Path::new(&shown), piece.text.clone()), &mut found);
            (found, api::defines(&piece.text))
        });
        collector.absorb(found.clone());
        defined.extend(kinds.iter().cloned());
    }

    /// Calls `read` with each of the values that the release can have.
    fn with_values(
        &self,
        variables: &[Variable],
        collector: &mut Collector<'p>,
        ahead: impl Fn(&[Values]),
        mut read: impl FnMut(&str, &mut Collector<'p>) -> Result<(), ChartError>,
    ) -> Result<(), ChartError> {
        let chart = self.chart;
        let texts: Vec<&str> = chart.values.iter().map(|layer| &*layer.text).collect();
        let used = used(variables, &texts);
        collector.enter_chart(chart, "");
        let mut around = samples::Around { taken: inline_defaults(&texts), ..samples::Around::default() };
        for variable in used.iter().filter(|variable| !is_fixed(variable)) {
            let conditions = self.conditions(&variable.name);
            if !conditions.reaches {
                around.plain.insert(variable.name.clone());
            }
            if conditions.open {
                collector.warned(self.variable(&variable.name, self.unforeseen(&variable.name)));
                around.alike.insert(variable.name.clone());
            }
            around.compared.insert(variable.name.clone(), conditions.literals);
        }
        let place = |name: &str, message| self.variable(name, message);
        let how = Reading { used: &used, around: &around, place: &place };
        let refuses = |error: &ChartError| matches!(error, ChartError::Render { .. });
        under_all(&how, collector, refuses, &|all| ahead(all), |values, collector| {
            match self.merged(values, variables) {
                Ok(merged) => read(&merged, collector),
                Err(problems) => {
                    problems.into_iter().for_each(|problem| collector.wrong(problem));
                    Ok(())
                }
            }
        })
        .map_err(|error| with_samples(error, &used, &around))
    }

    /// What the chart makes depend on the variable `name`.
    fn conditions(&self, name: &str) -> Conditions {
        let places = chart::places(&self.chart.values, name);
        let whole = places.iter().all(|(_, whole)| *whole);
        let paths: Vec<Vec<String>> = places.into_iter().map(|(path, _)| path).collect();
        chart::conditions(&self.tree, &paths, whole)
    }

    fn unforeseen(&self, name: &str) -> String {
        format!(
            "templates of chart {} compare variable {name}, which has no fixed set of values, where it may decide over an \
             image. No sample led to another one; a value that nobody foresaw could: give the variable `options`, or name \
             in `images` what else it may lead to",
            self.chart.title()
        )
    }

    /// The release's values as one text, or their mistakes.
    fn merged(&self, values: &Values, variables: &[Variable]) -> Result<String, Vec<Problem>> {
        let (mut layers, mut wrong) = (self.chart.values.clone(), Vec::new());
        for layer in &mut layers {
            match fill(&layer.text, Around::Yaml, values, variables) {
                Ok(text) => layer.text = text,
                Err(mistakes) => {
                    wrong.extend(mistakes.into_iter().map(|one| chart::problem_in(layer, one.at, one.message)));
                }
            }
        }
        match chart::merge(&layers) {
            Ok(merged) if wrong.is_empty() => return Ok(merged),
            Ok(_) => {}
            Err(problems) => wrong.extend(problems.found().iter().cloned()),
        }
        Err(wrong)
    }

    /// Reads the annotations of every chart that takes part, and whatever else `read` does with it.
    fn parts(
        &self,
        values: &str,
        collector: &mut Collector<'p>,
        read: impl Fn(&Part<'_>, &mut Collector<'p>),
    ) -> Result<(), ChartError> {
        let malformed = |reason| ChartError::Malformed { path: self.chart.package.clone(), reason };
        for part in parts(&self.tree, values).map_err(malformed)? {
            annotations::read(self.chart, &part, collector);
            read(&part, collector);
        }
        Ok(())
    }

    /// A problem at the placeholder of the variable `name`.
    fn variable(&self, name: &str, message: String) -> Problem {
        let found = self.chart.values.iter().find_map(|layer| {
            let placeholders = scan(&layer.text).placeholders;
            Some((layer, placeholders.into_iter().find(|placeholder| placeholder.name == name)?.at))
        });
        match found {
            Some((layer, at)) => chart::problem_in(layer, at, message),
            None => self.problem(message),
        }
    }

    /// A problem where the chart is named.
    fn problem(&self, message: String) -> Problem {
        match read_document(&self.chart.file) {
            Ok(Ok(source)) => source.problem(self.chart.position, message),
            _ => Problem { position: Some(self.chart.position), ..Problem::with_file(&self.chart.file, message) },
        }
    }
}
