//! Variables without a fixed set of values: whatever a site may set, no other image is installed without a word.

use super::helm::helms;
use super::shop::{Shop, pod, printed, refused, says};

const DECIDES: &str = "has no fixed set of values and decides over an image";

/// A chart with a pod whose `image` may depend on what `values`, in YAML on one line, give.
fn shop(variables: &str, values: &str, template: &str) -> Shop {
    Shop::with_variables(variables, &format!("[{values}]"), &[("templates/x.yaml", template)])
}

/// A second pod under a condition.
fn under(condition: &str) -> String {
    format!("{{{{ if {condition} }}}}\n{}{{{{ end }}}}\n", pod("more", "registry.example.org/more:1"))
}

#[test]
fn a_variable_that_decides_over_an_image_is_refused_however_it_does() {
    for helm in helms("a_variable_that_decides_over_an_image_is_refused_however_it_does") {
        for (variables, values, template) in [
            // The first sample of its format is its inline default.
            (
                "[{name: v, format: version}]",
                "{tag: '{{.carrack.var.v | default \"1.2.3\"}}'}",
                &*pod("web", "registry.example.org/web:{{ .Values.tag }}"),
            ),
            ("[{name: v, required: true}]", "{mode: '{{.carrack.var.v}}'}", &under("eq .Values.mode \"ha\"")),
            (
                "[{name: v, required: true}]",
                "{mode: '{{.carrack.var.v}}'}",
                &format!("{{{{ $mode := .Values.mode }}}}\n{}", under("has $mode (list \"ha\" \"single\")")),
            ),
            (
                "[{name: v, format: number, default: 3}]",
                "{replicas: '{{.carrack.var.v}}'}",
                &under("lt (int .Values.replicas) 2"),
            ),
            (
                "[{name: v, format: number, default: 300}]",
                "{replicas: '{{.carrack.var.v}}'}",
                &under("ge (int .Values.replicas) 500"),
            ),
            ("[{name: v, required: true}]", "{host: '{{.carrack.var.v}}'}", &under("not .Values.host")),
            (
                "[{name: v, required: true}, {name: w, required: true}]",
                "{site: '{{.carrack.var.v}}', primary: '{{.carrack.var.w}}'}",
                &under("ne .Values.site .Values.primary"),
            ),
            (
                "[{name: v, required: true}, {name: w, required: true}]",
                "{site: '{{.carrack.var.v}}', primary: '{{.carrack.var.w}}'}",
                &under("eq .Values.site .Values.primary"),
            ),
            (
                "[{name: v, default: x}, {name: w, default: y}]",
                "{site: '{{.carrack.var.v}}', primary: '{{.carrack.var.w}}'}",
                &under("and (eq .Values.site \"ha\") (eq .Values.primary \"y\")"),
            ),
        ] {
            let said = refused(shop(variables, values, template).carrack(&helm, &["images", "."]));
            says(&said, &["variable v ", DECIDES]);
        }
    }
}

#[test]
fn a_value_that_nobody_foresaw_is_warned_of() {
    const UNFORESEEN: &str = "carrack.yaml:10:57: templates of chart shop 1.2.3 compare variable v, which has no fixed set of \
                              values, where it may decide over an image. No sample led to another one; a value that nobody \
                              foresaw could: give the variable `options`, or name in `images` what else it may lead to";
    for helm in helms("a_value_that_nobody_foresaw_is_warned_of") {
        let values = "{mode: '{{.carrack.var.v}}'}";
        for (condition, warned) in [
            ("hasPrefix \"ha-\" .Values.mode", true),
            ("eq .Values.mode .Release.Name", true),
            // What it is compared with was tried.
            ("eq .Values.mode \"ha\"", false),
            ("eq .Release.Name \"shop\"", false),
            ("hasPrefix \"v\" .Capabilities.KubeVersion.Version", false),
        ] {
            let template = format!("{{{{ if {condition} }}}}\n# an image: {{{{ .Values.mode }}}}\n{{{{ end }}}}\n");
            let ran = shop("[{name: v, required: true}]", values, &template).carrack(&helm, &["check", "."]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            assert_eq!(ran.stderr.matches(UNFORESEEN).count(), usize::from(warned), "{condition}: {}", ran.stderr);
            let fixed = shop("[{name: v, options: [a, b], default: a}]", values, &template);
            assert!(!fixed.carrack(&helm, &["check", "."]).stderr.contains("nobody foresaw"), "{condition}");
            // What is under the condition is no image's business.
            let template = template.replace("image", "host");
            let other = shop("[{name: v, required: true}]", values, &template).carrack(&helm, &["check", "."]);
            assert_eq!((other.code, other.stderr.contains("nobody foresaw")), (0, false), "{condition}");
        }
    }
}

#[test]
fn a_sample_that_a_chart_refuses_leads_to_no_image() {
    for helm in helms("a_sample_that_a_chart_refuses_leads_to_no_image") {
        let template = format!(
            "{{{{ if eq (required \"a mode\" .Values.mode) \"ha\" }}}}{{{{ fail \"not ha\" }}}}{{{{ end }}}}\n{}",
            pod("web", "registry.example.org/web:1")
        );
        let shop = shop("[{name: v, required: true}]", "{mode: '{{.carrack.var.v}}'}", &template);
        assert_eq!(printed(shop.carrack(&helm, &["images", "."])), "registry.example.org/web:1\n");
    }
}

#[test]
fn there_is_an_end_to_what_is_tried() {
    for helm in helms("there_is_an_end_to_what_is_tried") {
        let conditions: Vec<String> =
            (0..70).map(|n| format!("{{{{ if eq .Values.mode \"m{n}\" }}}}# image\n{{{{ end }}}}\n")).collect();
        let shop = shop("[{name: v, required: true}]", "{mode: '{{.carrack.var.v}}'}", &conditions.concat());
        let ran = shop.carrack(&helm, &["check", "."]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        says(&ran.stderr, &["of 71 values that variable v and those after it should be tried with, 64 were"]);
    }
}

#[test]
fn what_is_looked_up_in_the_cluster_is_warned_of() {
    let warning = "chart shop 1.2.3 of pack shop uses `lookup`, which finds nothing before there is a cluster";
    for helm in helms("what_is_looked_up_in_the_cluster_is_warned_of") {
        for (template, warned) in [
            ("{{ $x := (lookup \"v1\" \"Secret\" \"a\" \"b\").data }}", true),
            ("# a lookup\n{{/* lookup */}}# {{ .Values.lookup }}{{ \"lookup\" }}", false),
        ] {
            let ran = shop("[]", "{}", template).carrack(&helm, &["check", "."]);
            assert_eq!((ran.code, ran.stderr.contains(warning)), (0, warned), "{template}: {}", ran.stderr);
        }
    }
}
