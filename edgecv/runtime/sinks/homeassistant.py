"""Home Assistant's MQTT discovery: one retained message describes the device and its sensors."""

from __future__ import annotations

import msgspec

import edgecv
from edgecv.runtime.sinks.base import Context


def discovery(prefix: str, node: str, topic: str, context: Context) -> tuple[str, bytes]:
    """(the topic, the payload) of device discovery, which Home Assistant has since 2024.11.

    node: letters, digits, dashes and underscores, unique to this sender; topic: the base of its messages.
    """
    state, metrics = f"{topic}/state", f"{topic}/metrics"
    rate = {"state_class": "measurement", "entity_category": "diagnostic"}
    sensors = {
        "label": {
            "name": "Label",
            "icon": "mdi:cctv",
            "state_topic": state,
            "value_template": "{{ (value_json.on | join(', ') or 'none')[:255] }}",
            "json_attributes_topic": state,
        },
        "fps": {
            "name": "Frame rate",
            "state_topic": metrics,
            "value_template": "{{ value_json.fps }}",
            "unit_of_measurement": "fps",
            **rate,
        },
        "latency": {
            "name": "Latency",
            "state_topic": metrics,
            "value_template": "{{ value_json.latency_p50_ms }}",
            "device_class": "duration",
            "unit_of_measurement": "ms",
            **rate,
        },
    }
    payload = {
        "device": {
            "identifiers": [node],
            "name": f"EdgeCV {topic}",
            "manufacturer": "EdgeCV",
            "model": f"{context.model} on {context.device}",
            "sw_version": edgecv.__version__,
        },
        "origin": {"name": "edgecv", "sw_version": edgecv.__version__},
        "availability_topic": f"{topic}/status",
        "qos": 1,
        "components": {
            key: {"platform": "sensor", "unique_id": f"{node}_{key}", **sensor}
            for key, sensor in sensors.items()
        },
    }
    return f"{prefix}/device/{node}/config", msgspec.json.encode(payload)
