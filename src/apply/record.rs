//! What a receipt records of an apply.

use super::containerd::{SNAPSHOTTER, WantedImage};
use super::files::FileKind;
use super::plan::{HostPlan, PlannedFile};
use super::receipt::{self, RECEIPT_VERSION, Receipt, ReceiptFile, ReceiptImage, ReceiptRuntime};
use super::survey::{Survey, TargetRuntime};
use super::sweep::Swept;
use crate::bundle::Contents;

/// What a receipt says once everything has worked.
pub(super) fn receipt_of(
    survey: &Survey,
    contents: &Contents,
    swept: &Swept,
    unpacked: usize,
    warnings: &[String],
) -> Receipt {
    let profile = &contents.profile;
    let mut verified = vec!["the bundle's index, manifests and framing".to_owned()];
    verified.push("every blob that was read, by length and SHA-256".to_owned());
    if survey.runtime.is_some() {
        verified.push(format!("{} blobs that containerd had, by digest and length", swept.present));
        verified.push(format!("{unpacked} layers, by the digest of what they unpacked to"));
    }
    Receipt {
        receipt_version: RECEIPT_VERSION,
        bundle: contents.identity,
        name: profile.name.clone(),
        version: profile.version.clone(),
        applied: receipt::now(),
        installer: env!("CARGO_PKG_VERSION").to_owned(),
        runtime: receipt_runtime(survey),
        verified,
        files: receipt_files(&survey.plan),
        images: receipt_images(survey),
        warnings: warnings.to_vec(),
    }
}

fn receipt_runtime(survey: &Survey) -> ReceiptRuntime {
    match (&survey.target.runtime, &survey.runtime) {
        (TargetRuntime::Containerd { address, namespace, unpack }, Some(runtime)) => ReceiptRuntime::Containerd {
            version: runtime.version.clone(),
            address: address.clone(),
            namespace: namespace.clone(),
            snapshotter: unpack.then(|| SNAPSHOTTER.to_owned()),
        },
        // One that is about to be written is recorded when its digest is known.
        _ => survey.archive.as_ref().and_then(|archive| archive.present.clone()).unwrap_or(ReceiptRuntime::None),
    }
}

fn receipt_files(plan: &HostPlan) -> Vec<ReceiptFile> {
    let file = |planned: &PlannedFile| ReceiptFile {
        path: planned.file.path.clone(),
        digest: planned.file.digest,
        size: planned.file.size,
        mode: format!("{:04o}", planned.file.mode),
        owner: planned.file.owner.map(|(uid, gid)| format!("{uid}:{gid}")),
        pack: planned.file.pack.clone(),
        kind: match planned.file.kind {
            FileKind::Host => "file".to_owned(),
            FileKind::Manifest => "manifest".to_owned(),
        },
    };
    plan.files.iter().map(file).collect()
}

fn receipt_images(survey: &Survey) -> Vec<ReceiptImage> {
    let runtime = survey.runtime.iter().flat_map(|runtime| &runtime.wanted.images).map(|image| (image, &image.names));
    let runtime = runtime.map(|(image, names)| receipt_image(image, names.clone()));
    let archive = survey.archive.iter().flat_map(|archive| &archive.wanted.images);
    runtime.chain(archive.map(|image| receipt_image(image, image.reference.runtime_names()))).collect()
}

fn receipt_image(image: &WantedImage, names: Vec<String>) -> ReceiptImage {
    ReceiptImage {
        reference: image.reference.clone(),
        names,
        target: image.target.digest,
        manifests: image.manifests.iter().map(|manifest| manifest.descriptor.digest).collect(),
    }
}
