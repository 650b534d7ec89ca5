//! What a receipt records of an apply.

use super::check::Check;
use super::containerd::SNAPSHOTTER;
use super::image_folder::{ImageFolder, receipt_images};
use super::installed::KeptValue;
use super::plan::{HostPlan, PlannedFile};
use super::receipt::{
    self, RECEIPT_VERSION, Receipt, ReceiptArchive, ReceiptCheck, ReceiptFile, ReceiptFolder, ReceiptPack,
    ReceiptRuntime, ReceiptVariable,
};
use super::site::ReceiptSite;
use super::survey::{Survey, TargetRuntime};
use super::sweep::Swept;
use super::targets::Inputs;
use crate::bundle::ResolvedPack;
use crate::site::node::Node;
use crate::variables::{Values, Variable};

/// What a receipt says once everything has worked. `written` is the archive of images that waits for its name.
pub(super) fn receipt_of(
    survey: &Survey,
    inputs: Inputs<'_>,
    swept: &Swept,
    unpacked: usize,
    written: Option<&ReceiptArchive>,
    warnings: &[String],
) -> Receipt {
    let wanted = survey.runtime.as_ref().map(|runtime| &runtime.wanted).or(survey.archived.as_ref());
    let (contents, profile) = (inputs.contents, &inputs.contents.profile);
    let mut verified = vec!["the bundle's index, manifests and framing".to_owned()];
    verified.push("every blob that was read, by length and SHA-256".to_owned());
    if survey.runtime.is_some() {
        verified.push(format!("{} blobs that containerd had, by name and length", swept.present));
        verified.push(format!("{unpacked} layers, by the digest of what they unpacked to"));
    }
    Receipt {
        receipt_version: RECEIPT_VERSION,
        bundle: contents.identity,
        name: profile.name.clone(),
        version: profile.version.clone(),
        applied: receipt::now(),
        installer: env!("CARGO_PKG_VERSION").to_owned(),
        images_only: false,
        runtime: receipt_runtime(survey, inputs.node, written),
        verified,
        files: receipt_files(&survey.plan),
        images: wanted.map(|wanted| receipt_images(wanted)).unwrap_or_default(),
        warnings: warnings.to_vec(),
        variables: receipt_variables(inputs, &survey.plan),
        packs: profile.packs.iter().map(pack).collect(),
        preflight: survey.preflight.iter().map(check).collect(),
        before: None,
        rolled_back_from: None,
        folders: Vec::new(),
        original_names: Vec::new(),
        services: Vec::new(),
        start: Vec::new(),
        remove: Vec::new(),
        claims: Vec::new(),
        state: None,
        saved: None,
        choices: Some(survey.target.choices.clone()),
        site: ReceiptSite::of(inputs.node, &survey.plan),
    }
}

fn pack(pack: &ResolvedPack) -> ReceiptPack {
    ReceiptPack { name: pack.name.clone(), version: pack.version.clone(), distribution: pack.distribution.clone() }
}

fn check(check: &Check) -> ReceiptCheck {
    let Check { name, needed, found, verdict, .. } = check.clone();
    ReceiptCheck { name, needed, found, verdict }
}

fn receipt_runtime(survey: &Survey, node: &Node, written: Option<&ReceiptArchive>) -> ReceiptRuntime {
    match (&survey.target.runtime, &survey.runtime) {
        (TargetRuntime::Containerd { address, namespace, unpack }, Some(runtime)) => ReceiptRuntime::Containerd {
            version: runtime.client.version().to_owned(),
            address: address.clone(),
            namespace: namespace.clone(),
            snapshotter: unpack.then(|| SNAPSHOTTER.to_owned()),
        },
        (TargetRuntime::Folder(folder), _) => {
            let kept = survey.plan.archive.as_ref().and_then(|planned| planned.kept.as_ref());
            let archive = written.or(kept).cloned();
            let filled = ReceiptFolder { folder: folder.path(node), archive };
            match folder {
                ImageFolder::K3s => ReceiptRuntime::K3s(filled),
                ImageFolder::Rke2 => ReceiptRuntime::Rke2(filled),
                ImageFolder::Canonical => ReceiptRuntime::Canonical(filled),
            }
        }
        _ => ReceiptRuntime::None,
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
        kind: planned.file.kind.word().to_owned(),
        wanted: planned.file.wanted,
        keys: planned.file.keys.clone(),
        changed_before: None,
        private: planned.file.has_secrets(),
        original: None,
    };
    plan.files.iter().map(file).collect()
}

/// Whether a receipt says of all files what they are.
pub(super) fn tells_files(receipt: &Receipt, plan: &HostPlan) -> bool {
    let told = receipt.files.iter().map(|file| (&file.path, file.digest, file.wanted));
    told.eq(plan.files.iter().map(|planned| (&planned.file.path, planned.file.digest, planned.file.wanted)))
}

/// The values of all variables.
pub(super) fn receipt_variables(inputs: Inputs<'_>, plan: &HostPlan) -> Vec<ReceiptVariable> {
    let declared = &inputs.contents.profile.variables;
    declared.iter().filter_map(|one| variable(one, inputs.values, plan)).collect()
}

/// The value of a variable, or where on the host it stands; nothing where it has none, or is sensitive and stands nowhere.
fn variable(variable: &Variable, values: &Values, plan: &HostPlan) -> Option<ReceiptVariable> {
    let value = values.get(&variable.name)?;
    let name = variable.name.clone();
    if !variable.sensitive {
        let default = variable.default.as_ref() == Some(value);
        return Some(ReceiptVariable { name, value: Some(value.clone()), default, kept: Vec::new() });
    }
    let written = plan.files.iter().filter_map(|planned| Some((&planned.file.path, planned.file.content.as_ref()?)));
    let secrets = written.flat_map(|(path, content)| content.secrets.iter().map(move |secret| (path, secret)));
    let kept = secrets.filter(|(_, secret)| secret.variable == variable.name).map(|(path, secret)| KeptValue {
        path: path.clone(),
        offset: secret.bytes.start,
        length: secret.bytes.len(),
        spelling: secret.spelling,
    });
    let kept: Vec<KeptValue> = kept.collect();
    (!kept.is_empty()).then_some(ReceiptVariable { name, value: None, default: false, kept })
}
