//! What of a pack's folder nothing uses: told by folder where it is much.

use std::collections::BTreeMap;
use std::path::Path;

use walkdir::WalkDir;

use super::left::Left;
use super::source::{MAX_ENTRIES, PackFolder};
use crate::io::with_causes;
use crate::problem::read_document;
use crate::yaml::{self, Node};

/// Files of one folder that are told one by one.
const FEW: usize = 3;
const CHART: &str = "Chart.yaml";

/// A chart's folder.
struct Unpacked {
    name: String,
    version: String,
}

impl PackFolder {
    /// Lists the files that nothing has asked for.
    pub(super) fn unused(&self, left: &mut Left) {
        let (mut files, mut seen) = (Vec::new(), 0);
        let mut walk = WalkDir::new(&self.path).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            seen += 1;
            if seen > MAX_ENTRIES {
                left.out(&self.place(""), None, "", format!("only {MAX_ENTRIES} files of a pack are looked at"));
                break;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    left.out(&self.place(""), None, "", with_causes(&error));
                    continue;
                }
            };
            let relative = entry.path().strip_prefix(&self.path).unwrap_or(entry.path()).display().to_string();
            if self.uses(&relative) {
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
            } else if !entry.file_type().is_dir() {
                files.push(relative);
            } else if let Some(chart) = unpacked(entry.path()).filter(|_| !self.uses_within(&relative)) {
                self.unpacked_chart(&relative, &chart, left);
                walk.skip_current_dir();
            }
        }
        self.files(&files, left);
    }

    /// A chart is told in one line, with all that is below it.
    fn unpacked_chart(&self, relative: &str, Unpacked { name, version }: &Unpacked, left: &mut Left) {
        let reason = if self.has_chart(name, version) {
            format!("an unpacked copy of chart {name} {version}, which pack.json names as a package")
        } else {
            format!("chart {name} {version}, which pack.json does not name")
        };
        left.file(&self.place(relative), reason);
    }

    fn files(&self, files: &[String], left: &mut Left) {
        let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for file in files {
            folders.entry(file.split_once('/').map_or("", |(folder, _)| folder)).or_default().push(file);
        }
        for (folder, files) in folders {
            if !folder.is_empty() && files.len() > FEW {
                let (count, first) = (files.len(), &files[..FEW].join(", "));
                let reason = format!("pack.json does not name these {count} files, among them {first}");
                left.file(&self.place(folder), reason);
                continue;
            }
            files.iter().for_each(|file| self.file(file, left));
        }
    }

    fn file(&self, relative: &str, left: &mut Left) {
        let (place, name) = (self.place(relative), relative.to_lowercase());
        if name.starts_with("logo.") || name.starts_with("readme") || name.starts_with("license") {
            left.palettes(&place, "", "Carrack shows it nowhere");
        } else if name == "schema.yaml" || name == "values.schema.json" {
            left.palettes(&place, "", "Palette checks values with it");
        } else if name == "presets.yaml" {
            left.out(&place, None, "", "choices of values that Palette offers; those of values.yaml are imported");
        } else {
            left.file(&place, "pack.json does not name this file");
        }
    }
}

/// The chart whose folder this is, by a Chart.yaml that is no link.
fn unpacked(folder: &Path) -> Option<Unpacked> {
    let path = folder.join(CHART);
    path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
    // One that cannot be read leaves a folder whose files are told.
    let source = read_document(&path).ok()?.ok()?;
    let documents = yaml::parse_as_helm(source.text()).documents;
    let text = |name: &str| documents.first()?.get(name).and_then(Node::text).map(str::to_owned);
    Some(Unpacked { name: text("name")?, version: text("version")? })
}
