//! What the kubelet sees: containerd's CRI plugin finds the images by tag and by digest and starts a pod from them.

use std::fs;
use std::path::Path;

use carrack::oci::Descriptor;
use carrack::registry::in_process::InProcessRegistry;
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::transport::{Channel, Endpoint, Uri};

use super::parts::{Containerd, available, busybox_layer, put_multi_platform, speaking};
use super::project::{Project, succeed};

/// The few messages of `runtime.v1` (Kubernetes' CRI API) that the test sends; field numbers are that API's.
#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CriImage {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, repeated, tag = "2")]
    pub repo_tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub repo_digests: Vec<String>,
    #[prost(bool, tag = "8")]
    pub pinned: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RemoveImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct ListImagesResponse {
    #[prost(message, repeated, tag = "1")]
    images: Vec<CriImage>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<CriImage>,
}

#[derive(Clone, PartialEq, Message)]
struct PodMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    /// 2 is the node's own network, which needs no CNI.
    #[prost(int32, tag = "1")]
    network: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxSecurity {
    #[prost(message, optional, tag = "1")]
    namespace_options: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxPod {
    #[prost(message, optional, tag = "2")]
    security_context: Option<SandboxSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct PodConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodMetadata>,
    #[prost(string, tag = "3")]
    log_directory: String,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxPod>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<PodConfig>,
}

/// A response, or a request, that is one identifier.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "11")]
    log_path: String,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// The kubelet's side of the interface.
pub struct Cri(tonic::client::Grpc<Channel>);

impl Cri {
    pub async fn connect(address: &Path) -> Self {
        let address = address.to_owned();
        let connect = tower::service_fn(move |_: Uri| {
            let address = address.clone();
            async move { tokio::net::UnixStream::connect(address).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://cri").connect_with_connector(connect).await.unwrap();
        Self(tonic::client::Grpc::new(channel))
    }

    async fn try_call<Q, A>(&mut self, method: &'static str, request: Q) -> Result<A, tonic::Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.0.ready().await.unwrap();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(method);
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        self.0.unary(tonic::Request::new(request), path, codec).await.map(tonic::Response::into_inner)
    }

    async fn call<Q, A>(&mut self, method: &'static str, request: Q) -> A
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.try_call(method, request).await.unwrap_or_else(|status| panic!("{method}: {status}"))
    }

    /// Every image, as `crictl images` lists them.
    pub async fn images(&mut self) -> Vec<CriImage> {
        self.call::<_, ListImagesResponse>("/runtime.v1.ImageService/ListImages", Empty {}).await.images
    }

    /// Removes an image with all its names.
    pub async fn remove(&mut self, id: &str) {
        let request = RemoveImageRequest { image: Some(ImageSpec { image: id.to_owned() }) };
        let _: Empty = self.call("/runtime.v1.ImageService/RemoveImage", request).await;
    }

    /// The image with this name.
    pub async fn image(&mut self, name: &str) -> Option<CriImage> {
        let request = ImageStatusRequest { image: Some(ImageSpec { image: name.to_owned() }) };
        self.call::<_, ImageStatusResponse>("/runtime.v1.ImageService/ImageStatus", request).await.image
    }
}

#[test]
fn the_kubelets_interface_finds_and_starts_a_filtered_index() {
    let tools = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox"];
    if !available("the_kubelets_interface_finds_and_starts_a_filtered_index", &tools) {
        return;
    }
    let project = Project::new();
    let pause = add_pause(&project);
    let source = InProcessRegistry::start().unwrap();
    let nested = add_nested(&project, &source);
    let bundle = project.build("trip.tar.zst");
    let config = format!(
        "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{pause}\"\n  restrict_oom_score_adj = true\n"
    );
    let containerd = Containerd::start_with(project.folder.path(), &config);
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let mut apply = containerd.installer("apply");
    succeed(apply.arg(&bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]));
    // What nothing refers to is gone after a removal that waits for the garbage collection.
    containerd.ctr(["images", "tag", &pause, "example.org/unwanted:1"]);
    containerd.ctr(["images", "rm", "--sync", "example.org/unwanted:1"]);
    let mut status = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
    succeed(status.arg("status").arg("--root").arg(&root));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(ask(&project, &nested, &containerd));
}

/// An image whose index has an index, in which its manifests are.
fn add_nested(project: &Project, source: &InProcessRegistry) -> String {
    let (inner, _) = put_multi_platform(source, "app/nested", "inner");
    source.put_index("app/nested", Some("1"), vec![Descriptor { platform: None, ..inner }]);
    let name = source.reference("app/nested:1").unwrap().to_string();
    add_image(project, &name);
    name
}

fn add_image(project: &Project, name: &str) {
    let file = project.path("carrack.yaml");
    let profile = fs::read_to_string(&file).unwrap();
    fs::write(&file, profile.replace("images: [", &format!("images: [\"{name}\", "))).unwrap();
}

/// The sandbox image must be in the bundle like any other. busybox sleeps as well as pause does.
fn add_pause(project: &Project) -> String {
    let source = InProcessRegistry::start().unwrap();
    let mut image = speaking("linux/amd64", vec![busybox_layer(&[])], "");
    image.command = ["/bin/busybox", "sleep", "3600"].map(str::to_owned).to_vec();
    source.put_image("app/pause", Some("1"), &image);
    project.registry.copy_from(&source, "app/pause:1");
    let name = format!("{}/app/pause:1", project.registry.host);
    add_image(project, &name);
    name
}

async fn ask(project: &Project, nested: &str, containerd: &Containerd) {
    let mut cri = Cri::connect(&containerd.address).await;
    let name = format!("{}/app/multi", project.registry.host);
    let (by_tag, by_digest) = (format!("{name}:2.0"), format!("{name}@{}", project.index.digest));
    let image = cri.image(&by_tag).await.expect("found by tag");
    assert_eq!(cri.image(&by_digest).await.expect("found by digest").id, image.id);
    assert!(image.repo_tags.contains(&by_tag), "{image:?}");
    assert!(image.repo_digests.contains(&by_digest), "{image:?}");
    assert!(cri.image(&format!("{name}:none")).await.is_none());

    let logs = project.path("logs");
    fs::create_dir(&logs).unwrap();
    let pod = PodConfig {
        metadata: Some(PodMetadata { name: "pod".into(), uid: "uid".into(), namespace: "default".into() }),
        log_directory: logs.display().to_string(),
        linux: Some(LinuxPod {
            security_context: Some(SandboxSecurity { namespace_options: Some(NamespaceOption { network: 2 }) }),
        }),
    };
    let sandbox: Id =
        cri.call("/runtime.v1.RuntimeService/RunPodSandbox", RunPodRequest { config: Some(pod.clone()) }).await;
    for (number, reference) in [&by_tag, &by_digest, nested].into_iter().enumerate() {
        let log = format!("container-{number}.log");
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: format!("container-{number}") }),
            image: Some(ImageSpec { image: reference.to_owned() }),
            log_path: log.clone(),
        };
        let request =
            CreateContainerRequest { pod: sandbox.id.clone(), config: Some(config), sandbox: Some(pod.clone()) };
        let container: Id = cri.call("/runtime.v1.RuntimeService/CreateContainer", request).await;
        let _: Empty = cri.call("/runtime.v1.RuntimeService/StartContainer", container).await;
        let log = logs.join(log);
        super::parts::wait_until("the container's output", &log, || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("I am linux/amd64"))
        });
    }
    // containerd 1.6 fails to stop a container that is just ending; the kubelet asks again too.
    while cri.try_call::<_, Empty>("/runtime.v1.RuntimeService/StopPodSandbox", sandbox.clone()).await.is_err() {}
    let _: Empty = cri.call("/runtime.v1.RuntimeService/RemovePodSandbox", sandbox).await;
}

#[test]
fn a_filtered_index_keeps_its_digest_and_only_its_platform() {
    let source = InProcessRegistry::start().unwrap();
    if !available("a_filtered_index_keeps_its_digest_and_only_its_platform", &["busybox"]) {
        return;
    }
    let (index, amd64) = put_multi_platform(&source, "app/multi", "2.0");
    let folder = tempfile::tempdir().unwrap();
    let profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: multi, version: 1.0.0}}\nspec:\n  packs:\n    \
         - {{name: app, layer: addon, images: [\"{}/app/multi:2.0\"]}}\n",
        source.host()
    );
    fs::write(folder.path().join("carrack.yaml"), profile).unwrap();
    let bundle = folder.path().join("multi.tar.zst");
    let mut build = std::process::Command::new(env!("CARGO_BIN_EXE_carrack"));
    succeed(build.arg("build").arg(folder.path()).arg("-o").arg(&bundle).args(["--platform", "linux/amd64"]));
    let bundle = carrack::trust::establish(&bundle).unwrap();
    let image = &bundle.contents().images[0];
    assert_eq!(image.target.digest, index.digest);
    assert_eq!(image.manifests.iter().map(|manifest| manifest.manifest.digest).collect::<Vec<_>>(), [amd64.digest]);
}
