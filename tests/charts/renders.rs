//! How often helm is run: what was rendered once is taken from where it is kept, and only what may matter is tried.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::helm::helms;
use super::shop::{Shop, pod, printed, refused, says};

/// A program beside the profile that counts its runs and is `helm`.
fn counting(shop: &Shop, helm: &Path) -> PathBuf {
    let (count, file) = (shop.sandbox.work().join("count"), shop.sandbox.work().join("helm"));
    fs::write(&file, format!("#!/bin/sh\necho x >> {}\nexec {} \"$@\"\n", count.display(), helm.display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// How often the program has run since this was asked last.
fn runs(shop: &Shop) -> usize {
    let file = shop.sandbox.work().join("count");
    let count = fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    let _ = fs::remove_file(&file);
    count
}

#[test]
fn what_was_rendered_is_kept() {
    for helm in helms("what_was_rendered_is_kept") {
        let template = pod("web", "registry.example.org/web:{{ .Values.tag }}");
        let shop = Shop::with_variables(
            "[{name: host, required: true}]",
            "[{tag: '1', host: '{{.carrack.var.host}}'}]",
            &[("templates/x.yaml", &*template), ("templates/y.yaml", "# {{ .Values.host }}")],
        );
        let program = counting(&shop, &helm);
        let ask = |command: &str| printed(shop.carrack(&program, &[command, "."]));
        let first = ask("images");
        // Its version, and two samples of the host.
        assert_eq!((first.as_str(), runs(&shop)), ("registry.example.org/web:1\n", 3));
        for command in ["check", "images"] {
            ask(command);
            assert_eq!(runs(&shop), 1, "{command} asks for the version alone");
        }
        assert_eq!(ask("images"), first);
        runs(&shop);

        // Whatever it was made from is in what it is kept by.
        let changed = [
            ("shop/templates/x.yaml", template.replace("web:", "web2:")),
            (
                "carrack.yaml",
                fs::read_to_string(shop.sandbox.work().join("carrack.yaml")).unwrap().replace("'1'", "'2'"),
            ),
        ];
        for (file, text) in changed {
            shop.sandbox.write(file, text);
            assert_ne!(ask("images"), first);
            assert_eq!(runs(&shop), 3, "{file}");
        }

        // What is damaged is rendered again, and a home that cannot be written stops nothing.
        let home = shop.sandbox.work().with_file_name("home");
        let kept = home.join(".cache/carrack/rendered");
        let mut files = 0;
        for entry in fs::read_dir(&kept).unwrap() {
            fs::write(entry.unwrap().path(), "kind: Pod").unwrap();
            files += 1;
        }
        assert_eq!((ask("images").as_str(), files), ("registry.example.org/web2:2\n", 6));
        assert_eq!(runs(&shop), 3);
        fs::remove_dir_all(home.join(".cache")).unwrap();
        fs::write(home.join(".cache"), "").unwrap();
        ask("images");
        assert_eq!(runs(&shop), 3);
    }
}

#[test]
fn variables_that_reach_no_image_are_not_tried_by_themselves() {
    for helm in helms("variables_that_reach_no_image_are_not_tried_by_themselves") {
        let variables = "[{name: host, required: true}, {name: replicas, format: number, default: 2}, {name: ha, format: boolean, default: false}]";
        let values =
            "[{host: '{{.carrack.var.host}}', replicas: '{{.carrack.var.replicas}}', ha: '{{.carrack.var.ha}}'}]";
        let template = format!(
            "# {{{{ if gt (int .Values.replicas) 1 }}}}\n# {{{{ if hasPrefix \"10.\" .Values.host }}}}\n# spread\n\
             # {{{{ end }}}}\n# {{{{ end }}}}\n\n---\n{}",
            pod("web", "registry.example.org/web:1")
        );
        let shop = Shop::with_variables(variables, values, &[("templates/x.yaml", &*template)]);
        let program = counting(&shop, &helm);
        let ran = shop.carrack(&program, &["check", "."]);
        assert_eq!((ran.code, ran.stderr.contains("warning:")), (0, false), "{}", ran.stderr);
        assert_eq!(runs(&shop), 5, "its version, and two samples for either value of `ha`");
    }
}

#[test]
fn a_number_in_quotes_is_told_of() {
    for helm in helms("a_number_in_quotes_is_told_of") {
        let schema = r#"{"properties": {"replicas": {"type": "integer"}}}"#;
        let files = [("values.schema.json", schema), ("templates/x.yaml", "# {{ .Values.replicas }}")];
        let shop = |values| Shop::with_variables("[{name: n, format: number, default: 2}]", values, &files);
        let said = refused(shop("[{replicas: \"{{.carrack.var.n}}\"}]").carrack(&helm, &["check", "."]));
        says(&said, &["without quotes a number stays a number"]);
        printed(shop("[{replicas: {{.carrack.var.n}}}]").carrack(&helm, &["check", "."]));
    }
}
