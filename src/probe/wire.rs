//! Ray's protobuf messages, written by hand: only the few fields that are read. prost skips the rest.
//! The numbers are those of `ray/core/generated`, the same from Ray 2.33 to 2.60. Messages that are
//! equal on the wire share a type.

use std::collections::BTreeMap;

/// `ray.rpc.ClusterInfoType.IS_INITIALIZED`
pub(super) const IS_INITIALIZED: i32 = 0;
/// `ray.rpc.ClusterInfoType.NODES`
pub(super) const CLIENT_NODES: i32 = 1;
/// `ray.rpc.ClusterInfoType.CLUSTER_RESOURCES`
pub(super) const CLIENT_TOTAL: i32 = 2;
/// `ray.rpc.ClusterInfoType.AVAILABLE_RESOURCES`
pub(super) const CLIENT_AVAILABLE: i32 = 3;
/// `ray.rpc.ClusterInfoType.RUNTIME_CONTEXT`
pub(super) const CLIENT_CONTEXT: i32 = 4;
/// `ray.rpc.ClusterInfoType.PING`
pub(super) const PING: i32 = 6;
/// `ray.rpc.GcsNodeInfo.GcsNodeState.ALIVE`
pub(super) const ALIVE: i32 = 0;

/// A message without fields that are read: the requests of `CheckAlive`, `GetClusterId` and
/// `GetAll*Resources`, and `ray.rpc.KVExistsResponse`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Empty {}

/// `ray.rpc.ClusterInfoRequest`
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct ClusterInfoRequest {
    #[prost(int32, tag = "1")]
    pub kind: i32,
}

/// `ray.rpc.ClusterInfoResponse`: one of the three fields, depending on the request.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClusterInfoResponse {
    #[prost(string, tag = "2")]
    pub json: String,
    #[prost(message, optional, tag = "3")]
    pub resources: Option<ResourceTable>,
    #[prost(message, optional, tag = "4")]
    pub context: Option<RuntimeContext>,
}

/// `ray.rpc.ClusterInfoResponse.ResourceTable`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResourceTable {
    #[prost(btree_map = "string, double", tag = "1")]
    pub amounts: BTreeMap<String, f64>,
}

/// `ray.rpc.ClusterInfoResponse.RuntimeContext`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RuntimeContext {
    #[prost(bytes = "vec", tag = "2")]
    pub node_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(string, tag = "6")]
    pub gcs_address: String,
}

/// `ray.rpc.GcsStatus`: 0 is OK.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct GcsStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `ray.rpc.CheckAliveReply`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct CheckAliveReply {
    #[prost(message, optional, tag = "1")]
    pub status: Option<GcsStatus>,
    #[prost(string, tag = "2")]
    pub ray_version: String,
}

/// `ray.rpc.InternalKVGetRequest` and `ray.rpc.KVExistsRequest`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct KvRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub namespace: Vec<u8>,
}

impl KvRequest {
    /// Asks for Ray's own JSON about the cluster, which every GCS has.
    pub fn cluster_metadata() -> Self {
        Self {
            key: b"CLUSTER_METADATA".to_vec(),
            namespace: b"cluster".to_vec(),
        }
    }
}

/// `ray.rpc.InternalKVGetReply` and `ray.rpc.GetClusterIdReply`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct BytesReply {
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `ray.rpc.GetAllNodeInfoRequest`. Servers that know the filter omit dead nodes.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct NodeInfoRequest {
    #[prost(int32, optional, tag = "3")]
    pub state_filter: Option<i32>,
}

/// `ray.rpc.GcsNodeInfo`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct NodeInfo {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub address: String,
    #[prost(string, tag = "3")]
    pub raylet_socket: String,
    #[prost(int32, tag = "7")]
    pub state: i32,
}

/// `ray.rpc.GetAllNodeInfoReply`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct NodeInfoReply {
    #[prost(message, optional, tag = "1")]
    pub status: Option<GcsStatus>,
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeInfo>,
}

/// `ray.rpc.GetAllNodeInfoReply`, `GetAllTotalResourcesReply` and `GetAllAvailableResourcesReply`
/// with rows that Ray's own Python decodes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RowsReply {
    #[prost(message, optional, tag = "1")]
    pub status: Option<GcsStatus>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub rows: Vec<Vec<u8>>,
}

/// `ray.rpc.TotalResources` and `ray.rpc.AvailableResources`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NodeResources {
    #[prost(btree_map = "string, double", tag = "2")]
    pub amounts: BTreeMap<String, f64>,
}

/// `ray.rpc.GetAllTotalResourcesReply` and `GetAllAvailableResourcesReply`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResourcesReply {
    #[prost(message, optional, tag = "1")]
    pub status: Option<GcsStatus>,
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeResources>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;

    #[test]
    fn ping_is_the_two_bytes_that_ray_sends() {
        assert_eq!(ClusterInfoRequest { kind: PING }.encode_to_vec(), [8, 6]);
        let alive_only = NodeInfoRequest {
            state_filter: Some(ALIVE),
        };
        assert_eq!(alive_only.encode_to_vec(), [0x18, 0]);
    }

    proptest! {
        /// Decoding never panics, whatever a server sends.
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = ClusterInfoResponse::decode(bytes.as_slice());
            let _ = CheckAliveReply::decode(bytes.as_slice());
            let _ = BytesReply::decode(bytes.as_slice());
            let _ = NodeInfoReply::decode(bytes.as_slice());
            let _ = ResourcesReply::decode(bytes.as_slice());
            let _ = RowsReply::decode(bytes.as_slice());
        }
    }
}
