//! Objects that have a controller of the cluster install a chart, which then comes from a network.

use super::{ObjectName, Place, Sink};
use crate::problem::Source;
use crate::yaml::Node;

/// Warns where `node` names a chart that is nowhere in it: what the chart installs cannot be read here.
pub(super) fn read(source: &Source, node: &Node, api_version: &str, object: &ObjectName, sink: &mut dyn Sink) {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let at = |path: &[&str]| path.iter().try_fold(node, |node, key| node.get(key));
    let (field, named) = match (group, &*object.kind) {
        ("helm.cattle.io", "HelmChart") if at(&["spec", "chartContent"]).is_none() => {
            ("spec.chart", at(&["spec", "chart"]))
        }
        ("helm.toolkit.fluxcd.io", "HelmRelease") => ("spec.chart", at(&["spec", "chart"])),
        ("argoproj.io", "Application") => ("spec.source.chart", at(&["spec", "source", "chart"])),
        _ => ("", None),
    };
    if let Some(chart) = named {
        let place = Place { source, at: chart.at, object: Some(object), field };
        let message =
            "the cluster fetches this chart by itself, and its images are not read; name it with `chart` in a pack";
        sink.warn(place, message.to_owned());
    }
    let (field, changed, message) = match (group, &*object.kind) {
        ("helm.cattle.io", "HelmChartConfig") => (
            "spec.valuesContent",
            at(&["spec", "valuesContent"]),
            "these values change what the distribution's own chart installs by itself; add the images that they name to `images`",
        ),
        ("argoproj.io", "Application") => (
            "spec.source.path",
            at(&["spec", "source", "path"]),
            "the cluster fetches this folder from git by itself, and its images are not read; name what is in it in a pack",
        ),
        ("kustomize.toolkit.fluxcd.io", "Kustomization") => (
            "spec.path",
            at(&["spec", "path"]).or(at(&["spec", "sourceRef"])),
            "the cluster fetches this folder by itself, and its images are not read; name what is in it in a pack",
        ),
        _ => return,
    };
    if let Some(changed) = changed {
        sink.warn(Place { source, at: changed.at, object: Some(object), field }, message.to_owned());
    }
}
