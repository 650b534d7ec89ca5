//! What is seen of commands that ask nothing: plans, tables, help, errors, and progress while it runs.

use std::time::Duration;

use carrack::oci::Platform;
use carrack::registry::in_process::{Fault, Image, InProcessRegistry, Layer};

use crate::scene::{Scene, WIDTHS, carrack, installer};

/// Lines that the terminal had to break, but for those that are one long word.
fn broken(screen: &str) -> Vec<&str> {
    screen.lines().filter(|line| line.ends_with('↩') && line.trim().contains(' ')).collect()
}

#[test]
fn plans_and_states() {
    for columns in WIDTHS {
        let scene = Scene::new();
        let look = |name: &str, arguments: &[&str], code: i32| {
            let left = scene.install(arguments, columns).end();
            assert_eq!(left.code, code, "{}", left.text());
            let screen = left.screen();
            assert_eq!(broken(&screen), Vec::<&str>::new());
            insta::assert_snapshot!(format!("{name}-{columns}"), screen);
        };
        look("status-nothing", &["status", "--root", "host"], 40);
        look("plan", &["plan", "edge-1.0.0.tar.zst", "--root", "host"], 0);
        look("verify", &["verify", "edge-1.0.0.tar.zst"], 0);
        scene.prepared(&["apply", "edge-1.0.0.tar.zst", "--root", "host", "--yes"]);
        look("status", &["status", "--root", "host"], 0);
        look("plan-upgrade", &["plan", "edge-1.1.0.tar.zst", "--root", "host"], 0);
        look("apply-again", &["apply", "edge-1.0.0.tar.zst", "--root", "host"], 0);
        look("no-bundle", &["apply", "elsewhere.tar.zst", "--root", "host"], 25);
        let identity = format!("sha256:{}", "0123456789abcdef".repeat(4));
        look("another", &["apply", "edge-1.1.0.tar.zst", "--root", "host", "--identity", &identity], 30);
        look("usage", &["apply", "edge-1.1.0.tar.zst", "--root"], 2);
    }
}

#[test]
fn help_fits() {
    for columns in WIDTHS {
        let scene = crate::common::Sandbox::new();
        for program in [carrack(), installer()] {
            let name = program.file_name().unwrap().to_str().unwrap();
            let help = |arguments: &[&str]| {
                let left = crate::terminal::Terminal::start(program, arguments, &scene.work(), &[], columns).end();
                assert_eq!(left.code, 0, "{}", left.text());
                let screen = left.screen();
                assert!(!screen.contains('↩'), "{screen}");
                screen
            };
            let all = help(&["--help"]);
            insta::assert_snapshot!(format!("help-{name}-{columns}"), all);
            let commands =
                all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
            let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
            for command in commands.filter(|command| !command.is_empty()) {
                help(&["help", command]);
            }
        }
    }
}

/// A registry with an image of one layer of a mebibyte, which comes in pieces.
fn slow(scene: &Scene, pause: Duration) -> InProcessRegistry {
    let registry = InProcessRegistry::start().unwrap();
    // Random enough not to be compressed to nothing.
    let noise: Vec<u8> = (0_u64..1 << 17).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    let layer = Layer::tar(&[("data", 0o644, noise.as_slice())]).unwrap().zstd().unwrap();
    let digest = carrack::oci::Digest::of(&layer.content);
    let image = Image { platform: Platform::of_this_machine(), layers: vec![layer], command: vec![] };
    registry.put_image("shop/api", Some("2.3.1"), &image);
    registry.inject(format!("/v2/shop/api/blobs/{digest}"), Fault::Slow(16 << 10, pause));
    let profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: 2.0.0}}\nspec:\n  platforms: [{}]\n  packs:\n    - \
         {{name: shop, layer: addon, images: [\"{}/shop/api:2.3.1\"]}}\n",
        Platform::of_this_machine(),
        registry.host()
    );
    scene.sandbox.write("images/carrack.yaml", profile);
    registry
}

/// The lines at the foot of the terminal, in order.
fn drawn(raw: &str) -> Vec<String> {
    raw.split("\x1b[J").skip(1).filter_map(|part| part.strip_suffix('\r')).map(str::to_owned).collect()
}

#[test]
fn a_build_shows_how_far_it_is_and_leaves_no_rest() {
    for columns in [40, 80, 120] {
        let scene = Scene::new();
        let _registry = slow(&scene, Duration::from_millis(20));
        let left = scene.start(carrack(), &["build", "images", "-o", "images.tar.zst"], columns).end();
        assert_eq!(left.code, 0, "{}", left.text());
        let drawn = drawn(&left.text());
        let widest = drawn.iter().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest > 20 && widest < usize::from(columns)), "{drawn:#?}");
        assert!(drawn.iter().any(|line| line.starts_with("building ") && line.contains(" of 1.0")), "{drawn:#?}");
        assert!(!drawn.iter().any(|line| line.contains(" 0 s left")), "{drawn:#?}");
        let last = left.text();
        assert!(last.rsplit("\x1b[J").next().is_some_and(|rest| rest.starts_with('\r')), "it is taken away in the end");
        let screen = left.screen();
        assert!(!screen.contains("building"), "{screen}");
        // Where a narrow terminal breaks the last line depends on how long it took.
        if columns >= 80 {
            insta::assert_snapshot!(format!("build-{columns}"), screen);
        }
    }
}

#[test]
fn a_line_follows_the_width_of_the_terminal() {
    let scene = Scene::new();
    let _registry = slow(&scene, Duration::from_millis(40));
    let mut terminal = scene.start(carrack(), &["build", "images", "-o", "images.tar.zst"], 120);
    terminal.wait_for("KiB/s");
    terminal.resize(40);
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.text());
    let drawn = drawn(&left.text());
    let narrow = drawn.iter().rev().take(3);
    assert!(narrow.clone().all(|line| (20..40).contains(&line.chars().count())), "{drawn:#?}");
}

/// Ctrl-C leaves the message alone, and no half of a line.
#[test]
fn an_interrupted_build_leaves_no_rest() {
    let scene = Scene::new();
    let _registry = slow(&scene, Duration::from_millis(200));
    let mut terminal = scene.start(carrack(), &["build", "images", "-o", "images.tar.zst"], 80);
    terminal.wait_for(" of 1.0");
    terminal.types("\x03");
    let left = terminal.end();
    assert_eq!(left.code, 130, "{}", left.text());
    insta::assert_snapshot!("build-interrupted", left.screen());
}

/// Check and lock, in every width.
#[test]
fn check_and_lock() {
    for columns in WIDTHS {
        let scene = Scene::new();
        let _registry = slow(&scene, Duration::ZERO);
        for command in ["check", "images", "lock"] {
            let left = scene.start(carrack(), &[command, "images"], columns).end();
            assert_eq!(left.code, 0, "{}", left.text());
            let screen = left.screen();
            assert_eq!(broken(&screen), Vec::<&str>::new());
            insta::assert_snapshot!(format!("{command}-{columns}"), screen);
        }
        scene.sandbox.write(
            "wrong/carrack.yaml",
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: Edge, version: 1}\nspec: {pack: []}\n",
        );
        let left = scene.start(carrack(), &["check", "wrong"], columns).end();
        assert_eq!(left.code, 10, "{}", left.text());
        insta::assert_snapshot!(format!("check-wrong-{columns}"), left.screen());
    }
}
