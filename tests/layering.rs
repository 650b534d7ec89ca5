//! The import rule of the crate's documentation: `bin → cli → steps → {registry, bundle, host} → {oci, io}`.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import, itself aside. A module that is not here fails the test until somebody has decided.
const RULE: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("text", &[]),
    ("progress", &[]),
    ("places", &["oci"]),
    ("requirements", &[]),
    ("options", &[]),
    ("io", &["oci"]),
    ("folder", &["io"]),
    ("problem", &["io", "text"]),
    ("yaml", &["problem"]),
    ("variables", &["problem", "text", "yaml"]),
    ("objects", &["oci", "problem", "yaml"]),
    ("site", &["oci", "io", "places", "problem", "text", "yaml", "variables"]),
    ("distro", &["oci", "options", "places", "problem", "site", "yaml"]),
    ("http", &[]),
    ("registry", &["oci", "io", "http"]),
    ("download", &["oci", "io", "http"]),
    ("bundle", &["oci", "io", "progress", "requirements", "text", "variables"]),
    ("host", &["oci", "io"]),
    ("profile", &["oci", "io", "options", "places", "requirements", "problem", "text", "yaml", "variables"]),
    ("chart", &["oci", "io", "progress", "problem", "text", "yaml", "variables", "profile"]),
    ("cluster", &["oci", "io", "problem", "text", "yaml", "variables", "objects", "profile", "chart", "folder"]),
    ("palette", &["oci", "io", "problem", "yaml", "variables", "folder", "profile", "chart"]),
    ("images", &["oci", "io", "problem", "yaml", "variables", "objects", "profile", "chart"]),
    ("lock", &["oci", "io", "problem", "yaml", "profile", "registry", "images"]),
    ("gather", &["oci", "io", "problem", "profile", "chart", "lock", "registry", "download"]),
    (
        "fetch",
        &[
            "oci",
            "io",
            "places",
            "progress",
            "requirements",
            "problem",
            "variables",
            "profile",
            "chart",
            "images",
            "lock",
            "registry",
            "download",
            "bundle",
        ],
    ),
    ("programs", &["oci", "io", "places", "problem", "profile"]),
    ("trust", &["oci", "io", "progress", "bundle"]),
    (
        "apply",
        &[
            "oci",
            "io",
            "text",
            "places",
            "distro",
            "site",
            "progress",
            "requirements",
            "problem",
            "yaml",
            "variables",
            "objects",
            "bundle",
            "host",
        ],
    ),
    // Everything but the binaries.
    (
        "cli",
        &[
            "oci",
            "io",
            "text",
            "progress",
            "requirements",
            "problem",
            "yaml",
            "variables",
            "objects",
            "site",
            "registry",
            "download",
            "folder",
            "bundle",
            "host",
            "profile",
            "chart",
            "cluster",
            "palette",
            "images",
            "lock",
            "gather",
            "fetch",
            "programs",
            "trust",
            "apply",
        ],
    ),
    ("bin", &["cli"]),
];

/// What the offline side never has in its binary.
const OPERATOR_ONLY: [&str; 13] = [
    "http", "download", "registry", "images", "lock", "gather", "fetch", "profile", "chart", "folder", "palette",
    "cluster", "programs",
];

#[test]
fn modules_import_only_what_lies_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources(&root) {
        let within = file.strip_prefix(&root).unwrap();
        let module = within.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = RULE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("src/{}: the rule says nothing about {module}", within.display()));
            continue;
        };
        let offline = within.starts_with("cli/installer");
        for (line, imported) in imports(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            let forbidden = offline && OPERATOR_ONLY.contains(&imported.as_str());
            if imported != module && !allowed.contains(&imported.as_str()) || forbidden {
                wrong.push(format!("src/{}:{line}: {module} imports {imported}", within.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} imports found: has their form changed?");
    assert!(wrong.is_empty(), "the import rule is broken:\n{}", wrong.join("\n"));
}

#[test]
fn the_rule_itself_goes_one_way() {
    let rank = |name: &str| RULE.iter().position(|(module, _)| *module == name).unwrap();
    for (module, allowed) in RULE {
        for below in *allowed {
            assert!(rank(below) < rank(module), "{module} imports {below}, which comes after it");
        }
    }
    for step in ["oci", "io", "bundle", "host", "trust", "apply"] {
        let (_, allowed) = RULE[rank(step)];
        assert!(allowed.iter().all(|below| !OPERATOR_ONLY.contains(below)), "{step}");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::oci::Digest;\n//! [`crate::no`]\n    pub(super) use crate::{io::AtPath, bundle};\n\
        let x = crate::host::Root::new();\n// crate::no\nuse carrack::cli;\nuse crate::{\n    lock::{self, Lock},\n    \
        fetch,\n};\n#[cfg(test)]\nmod tests {\n    use crate::no;\n}\n";
    let found: Vec<String> = imports(text).into_iter().map(|(line, module)| format!("{line} {module}")).collect();
    assert_eq!(found, ["1 oci", "3 io", "3 bundle", "4 host", "6 cli", "7 lock", "7 fetch"]);
}

/// Every source file, sorted.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Line and name of every module of the crate that a file's code mentions by an absolute path. Comments are left out, and
/// unit tests, which come last in a file and may look around.
fn imports(text: &str) -> Vec<(usize, String)> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let without_comments: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = without_comments.join("\n");
    let mut found = Vec::new();
    for start in ["crate::", "carrack::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let line = code[..at].lines().count().max(1) + usize::from(code[..at].ends_with('\n'));
            found.extend(modules(&code[at + start.len()..]).into_iter().map(|module| (line, module)));
        }
    }
    found.sort_by_key(|(line, _)| *line);
    found
}

/// The first names of a path or of a group of paths.
fn modules(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(Some(name(&group[start..at])).filter(|name| !name.is_empty()));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}
