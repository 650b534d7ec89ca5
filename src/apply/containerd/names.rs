//! Image names, set last: what has a name is complete.

use std::collections::HashMap;

use prost_types::FieldMask;
use serde::{Deserialize, Serialize};
use tonic::Code;

use super::api::images::{CreateImageRequest, DeleteImageRequest, GetImageRequest, Image, UpdateImageRequest};
use super::api::types;
use super::{Client, ContainerdError, NamedImage, Session, WantedImage};
use crate::apply::receipt::ReceiptImage;
use crate::oci::Blob;

/// The CRI plugin knows the image, and the kubelet's garbage collector leaves it alone (containerd 1.7 and later tell the
/// kubelet of the second; older ones ignore it).
const LABELS: [(&str, &str); 2] = [("io.cri-containerd.image", "managed"), ("io.cri-containerd.pinned", "pinned")];

/// A name of an image that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameChange {
    /// The name.
    pub name: String,
    /// What it shall stand for; absent where it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<NameTarget>,
    /// What it stood for; absent where it did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<NameTarget>,
}

/// What a name of an image stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameTarget {
    /// Its media type.
    pub media_type: String,
    /// Its digest, as containerd has it.
    pub digest: String,
    /// Its length in bytes.
    pub size: i64,
    /// The labels of the name; nothing where [`Self::ours`] says what they are.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub labels: HashMap<String, String>,
    /// Whether it gets the labels that Carrack gives. They are the same for ten thousand names, and are held once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ours: bool,
}

impl Client {
    /// What a name stands for, where it exists.
    ///
    /// # Errors
    /// A failed call.
    pub async fn named(&self, name: &str) -> Result<Option<NamedImage>, ContainerdError> {
        Ok(self
            .image(name)
            .await?
            .map(|image| NamedImage { managed: has_labels(&image), target: image.target.unwrap_or_default().digest }))
    }

    /// What has to become of the names of these images: those that are not right yet.
    ///
    /// # Errors
    /// A failed call.
    pub async fn name_changes(&self, images: &[WantedImage]) -> Result<Vec<NameChange>, ContainerdError> {
        let mut changes = Vec::new();
        for (image, name) in images.iter().flat_map(|image| image.names.iter().map(move |name| (image, name))) {
            let before = self.image(name).await?;
            let right = |image: &Image, wanted: &Blob| {
                image.target.as_ref().is_some_and(|target| target.digest == wanted.digest.to_string())
            };
            if before.as_ref().is_some_and(|before| right(before, &image.target) && has_labels(before)) {
                continue;
            }
            let target = NameTarget {
                media_type: image.target.media_type.to_string(),
                digest: image.target.digest.to_string(),
                size: image.target.size.cast_signed(),
                labels: HashMap::new(),
                ours: true,
            };
            let (name, before) = (name.clone(), before.map(NameTarget::from));
            changes.push(NameChange { name, target: Some(target), before });
        }
        Ok(changes)
    }

    /// What `name` stands for, with all that is known of it.
    ///
    /// # Errors
    /// A failed call.
    pub async fn name_target(&self, name: &str) -> Result<Option<NameTarget>, ContainerdError> {
        Ok(self.image(name).await?.map(NameTarget::from))
    }

    /// What the names of `image` have to stand for, where all of its content is still there: what `named` says where one of
    /// them is right, otherwise what is found of its target.
    ///
    /// # Errors
    /// A failed call.
    pub async fn whole(
        &self,
        image: &ReceiptImage,
        named: Option<NameTarget>,
    ) -> Result<Option<NameTarget>, ContainerdError> {
        for digest in image.manifests.iter().chain(&image.blobs).chain([&image.target]) {
            if !self.holds(digest).await? {
                return Ok(None);
            }
        }
        Ok(named.map(|named| NameTarget { labels: HashMap::new(), ours: true, ..named }))
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, ContainerdError> {
        let request = self.request(GetImageRequest { name: name.to_owned() });
        match self.images().get(request).await {
            Ok(answer) => Ok(answer.into_inner().image),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(ContainerdError::call("find the image", name, status)),
        }
    }
}

impl Session {
    /// Makes a name what `change` says. The caller has seen to it that everything below the target is there.
    ///
    /// # Errors
    /// A failed call.
    pub async fn change_name(&self, change: &NameChange) -> Result<(), ContainerdError> {
        if let Some(target) = &change.target {
            // Fails where the lease has ended, and what came under it may be gone.
            self.keep_content(&target.digest).await?;
            if let Some(before) = &change.before {
                // So that taking it back finds the old image whole.
                self.keep_content(&before.digest).await?;
            }
        }
        self.set_name(&change.name, change.target.as_ref()).await
    }

    /// Makes names what they were, the last change first.
    ///
    /// # Errors
    /// The first failed call; the others are tried all the same.
    pub async fn restore_names(&self, changes: &[NameChange]) -> Result<(), ContainerdError> {
        let mut result = Ok(());
        for change in changes.iter().rev() {
            result = result.and(self.set_name(&change.name, change.before.as_ref()).await);
        }
        result
    }

    /// Names that do not stand for what they did before `changes`.
    ///
    /// # Errors
    /// A failed call.
    pub async fn differing_names(&self, changes: &[NameChange]) -> Result<Vec<String>, ContainerdError> {
        let mut differing = Vec::new();
        for change in changes {
            let found = self.client.name_target(&change.name).await?.map(|target| target.digest);
            if found != change.before.as_ref().map(|before| before.digest.clone()) {
                differing.push(format!("the image name {} does not stand for what it did", change.name));
            }
        }
        Ok(differing)
    }

    async fn set_name(&self, name: &str, target: Option<&NameTarget>) -> Result<(), ContainerdError> {
        let Some(target) = target else { return self.remove_name(name).await };
        let image = target.image(name);
        let request = self.client.request(CreateImageRequest { image: Some(image.clone()) });
        match self.client.images().create(request).await {
            Ok(_) => Ok(()),
            // It stood for something else, or the CRI plugin made it as soon as it saw another one.
            Err(status) if status.code() == Code::AlreadyExists => self.update(image).await,
            Err(status) => Err(ContainerdError::call("name the image", name, status)),
        }
    }

    /// Sets the target and our labels; one of these that `image` lacks is taken away.
    async fn update(&self, image: Image) -> Result<(), ContainerdError> {
        let name = image.name.clone();
        let labels = LABELS.iter().map(|(key, _)| format!("labels.{key}"));
        let paths = std::iter::once("target".to_owned()).chain(labels).collect();
        let request = UpdateImageRequest { image: Some(image), update_mask: Some(FieldMask { paths }) };
        let answer = self.client.images().update(self.client.request(request)).await;
        answer.map(|_| ()).map_err(|status| ContainerdError::call("name the image", &name, status))
    }

    async fn remove_name(&self, name: &str) -> Result<(), ContainerdError> {
        let request = self.client.request(DeleteImageRequest { name: name.to_owned(), sync: false });
        match self.client.images().delete(request).await {
            Err(status) if status.code() != Code::NotFound => {
                Err(ContainerdError::call("remove the name", name, status))
            }
            _ => Ok(()),
        }
    }
}

impl NameTarget {
    fn image(&self, name: &str) -> Image {
        let Self { media_type, digest, size, labels, ours } = self.clone();
        let target = types::Descriptor { media_type, digest, size, annotations: HashMap::new() };
        let labels = if ours { our_labels() } else { labels };
        Image { name: name.to_owned(), labels, target: Some(target) }
    }
}

impl From<Image> for NameTarget {
    fn from(image: Image) -> Self {
        let types::Descriptor { media_type, digest, size, .. } = image.target.unwrap_or_default();
        Self { media_type, digest, size, labels: image.labels, ours: false }
    }
}

fn our_labels() -> HashMap<String, String> {
    LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn has_labels(image: &Image) -> bool {
    LABELS.iter().all(|(key, value)| image.labels.get(*key).is_some_and(|label| label == value))
}

/// Annotations stay behind: what the index says of a bundled image is for the bundle's readers.
pub(super) fn descriptor(descriptor: &Blob) -> types::Descriptor {
    types::Descriptor {
        media_type: descriptor.media_type.to_string(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size.cast_signed(),
        annotations: HashMap::new(),
    }
}
