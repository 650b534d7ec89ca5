//! What goes wrong with a chart.

use std::path::PathBuf;
use std::time::Duration;

use crate::io::PathError;
use crate::oci::Digest;

/// Why a chart cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
    /// It is no chart, or not one that is carried.
    #[error("{} is not a chart that can be used: {reason}", path.display())]
    Malformed {
        /// The package or the chart's folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Chart.yaml declares subcharts that `charts/` does not have.
    #[error("chart {} lacks {} that Chart.yaml declares and charts/ does not have", path.display(), names.join(", "))]
    MissingDependencies {
        /// The package or the chart's folder.
        path: PathBuf,
        /// Their names, with the version that is asked for.
        names: Vec<String>,
    },
    /// The chart has another version than the one that is asked for.
    #[error("{} is version {found}, and {wanted} is asked for", path.display())]
    Version {
        /// The package or the chart's folder.
        path: PathBuf,
        /// The chart's version.
        found: String,
        /// What the profile says.
        wanted: String,
    },
    /// The release has no name that Helm takes.
    #[error(
        "{name:?} cannot be the name of a release: expected up to 53 lowercase letters, digits and inner `-` or `.`"
    )]
    Release {
        /// The name.
        name: String,
    },
    /// The package is not the one that was looked at before.
    #[error("{} has changed: it is not {wanted} any more", path.display())]
    Changed {
        /// The package.
        path: PathBuf,
        /// The digest that it had.
        wanted: Digest,
    },
    /// There is no helm, and without it the chart's images cannot be told.
    #[error("chart {chart} of pack {pack} cannot be rendered: there is no `helm` on the path")]
    NoHelm {
        /// The pack.
        pack: String,
        /// The chart.
        chart: String,
    },
    /// What is called helm does not run.
    #[error("{} does not run as helm: {reason}", program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What it answered.
        reason: String,
    },
    /// Another helm than 3 or 4.
    #[error("{} is helm {version}, and 3 or 4 is needed", program.display())]
    HelmVersion {
        /// The program.
        program: PathBuf,
        /// What it says of itself.
        version: String,
    },
    /// Helm refuses the chart or its values.
    #[error("chart {chart} of pack {pack} cannot be rendered{}", in_template(template))]
    Render {
        /// The pack.
        pack: String,
        /// The chart.
        chart: String,
        /// The template that helm names, with line and column where it says them.
        template: Option<String>,
        /// What helm said, a line each.
        said: Vec<String>,
    },
    /// Helm does not end.
    #[error("chart {chart} of pack {pack} cannot be rendered: helm was ended after {} s", limit.as_secs())]
    Timeout {
        /// The pack.
        pack: String,
        /// The chart.
        chart: String,
        /// How long it may take.
        limit: Duration,
    },
    /// Helm takes ever more memory.
    #[error("chart {chart} of pack {pack} cannot be rendered: it takes more than {} GiB of memory", limit >> 30)]
    Memory {
        /// The pack.
        pack: String,
        /// The chart.
        chart: String,
        /// How many bytes it may have.
        limit: u64,
    },
    /// Helm writes without end.
    #[error("chart {chart} of pack {pack} renders to more than {} MiB", limit >> 20)]
    TooLarge {
        /// The pack.
        pack: String,
        /// The chart.
        chart: String,
        /// How many bytes are read.
        limit: u64,
    },
}

fn in_template(template: &Option<String>) -> String {
    template.as_ref().map(|template| format!(": {template}")).unwrap_or_default()
}
