"""The error tree.

EdgecvError
 ├── UsageError            the caller asked for something that cannot be (exit code 2)
 │    └── DeviceError      an unknown device, or a profile that does not validate
 ├── ModelError            weights that are missing, damaged or of another model
 ├── BundleError           a bundle is missing, damaged, tampered with or half there
 ├── DataError             images, labels or videos that cannot be used
 ├── ConversionError       a converter cannot express the model, or its result is wrong
 ├── EngineError           an inference engine failed on an artifact
 │    └── EngineMissing    the engine is not installed here
 ├── SourceError           a camera, stream or file gives no frames
 └── SinkError             results cannot be delivered

A message says what was wrong, where, and what to do. Only the CLI exits.
"""

from __future__ import annotations


class EdgecvError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class UsageError(EdgecvError):
    exit_code = 2


class ModelError(EdgecvError):
    pass


class DeviceError(UsageError):
    pass


class BundleError(EdgecvError):
    pass


class DataError(EdgecvError):
    pass


class ConversionError(EdgecvError):
    pass


class EngineError(EdgecvError):
    pass


class EngineMissing(EngineError):  # noqa: N818  reads as the fact it states
    pass


class SourceError(EdgecvError):
    pass


class SinkError(EdgecvError):
    pass
