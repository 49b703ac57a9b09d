"""Every error a user can meet. Each message says what was given, what is allowed, what to do next.

LayerwiseError                 exit code 1
├── UsageError                 exit code 2: what was asked for is not allowed
│   ├── UnknownMethod
│   ├── UnknownModel
│   ├── UnknownData
│   ├── UnknownColumn
│   ├── UnknownRun
│   ├── UnknownJob
│   ├── UnknownFormat          no export format of that name, or one that the model does not fit
│   ├── UnknownPrecision       no precision of that name, or one that this machine cannot compute
│   ├── BadScript              a batch script that cannot be done as it stands; every fault with line and column
│   └── BadTarget              a ratio, a number of layers or a drop that the model cannot meet
├── DataError                  the data cannot be used: no rows, one class, no text
│   └── NoLabels               the method or the task needs labels and the data has none
├── ModelError                 the model cannot be used as asked
│   ├── NoBlocks               no stack of repeated blocks was found
│   └── NotFinite              a loss or a score was NaN or infinite
├── NotEnoughMemory            a job would not fit into the memory that is free
├── EngineFailed               a cluster cannot be reached or used, or a worker of it died
├── AssetUnavailable           a download did not arrive or is not what it should be
├── StorageError               the disk is full or not writable
│   └── DamagedRecord          a record or an artifact is not what was written
├── VerificationFailed         a saved model does not do what the model in memory did
├── NoBrowser                  no Chromium is there to draw a picture or a PDF, or it does not run
├── LanguageModelError         the chat's language model cannot be reached or used
└── Cancelled                  exit code 3: the user stopped it
"""


class LayerwiseError(Exception):
    """Base of all errors that are shown to a user as one message and no traceback."""

    exit_code = 1


class UsageError(LayerwiseError):
    exit_code = 2


class UnknownMethod(UsageError): ...


class UnknownModel(UsageError): ...


class UnknownData(UsageError): ...


class UnknownColumn(UsageError): ...


class UnknownRun(UsageError): ...


class UnknownJob(UsageError): ...


class UnknownFormat(UsageError): ...


class UnknownPrecision(UsageError): ...


class BadScript(UsageError): ...


class BadTarget(UsageError): ...


class DataError(LayerwiseError): ...


class NoLabels(DataError): ...


class ModelError(LayerwiseError): ...


class NoBlocks(ModelError): ...


class NotFinite(ModelError): ...


class NotEnoughMemory(LayerwiseError): ...


class EngineFailed(LayerwiseError): ...


class AssetUnavailable(LayerwiseError): ...


class StorageError(LayerwiseError): ...


class DamagedRecord(StorageError): ...


class VerificationFailed(LayerwiseError): ...


class NoBrowser(LayerwiseError): ...


class LanguageModelError(LayerwiseError): ...


class Cancelled(LayerwiseError):
    exit_code = 3
