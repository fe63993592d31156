//! JSON that passes through as the text it was: what is `bytes` in Protobuf. Nothing at all is no bytes.

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer).map_err(D::Error::custom)?;
    Ok(Bytes::from(String::from(Box::<str>::from(value))))
}

pub(super) fn serialize<S: Serializer>(json: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let value: &RawValue = serde_json::from_slice(json).map_err(S::Error::custom)?;
    value.serialize(serializer)
}
