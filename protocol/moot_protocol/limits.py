"""Every limit of the protocol, with its unit and its reason.

Limits marked (format) decide whether an event is accepted: they belong to format version 1 and changing one is a
new version. The others protect this machine and may be changed freely.
"""

from typing import Final

from moot_protocol.time_units import DAY_MS, HOUR_MS, MINUTE_MS

KIB: Final = 1024
MIB: Final = 1024 * KIB

# -- Events (format) ---------------------------------------------------------------------------------------------
EVENT_BYTES: Final = 64 * KIB
"""Bytes of skeleton and values together: one event always fits a batch, and a batch one MQTT frame."""
TEXT_BYTES: Final = 60 * KIB
"""Bytes of one text field as UTF-8: leaves room for the rest of its event."""
KEY_BYTES: Final = 64
"""Bytes of a field's key: keys are names from `kinds`, not data."""
KIND_BYTES: Final = 32
"""Bytes of an entity's kind."""
ENTITY_BYTES: Final = 192
"""Bytes of an entity's id: LMDB keys end at 511 bytes and hold plane and kind as well."""
ACTOR_BYTES: Final = 255
"""Bytes of an actor's name."""
KEYS_PER_EVENT: Final = 128
"""Changes in one event."""
OVER_PER_KEY: Final = 1024
"""Dots that one change may supersede."""
NESTING: Final = 16
"""Depth of arrays and maps in a value: decoders elsewhere recurse."""
SALT_BYTES: Final = 16
"""Bytes of entropy before the values, so that their hash tells nothing about short ones."""

# -- Batches (format) --------------------------------------------------------------------------------------------
BATCH_EVENTS: Final = 256
"""Events under one signature: a proof needs 8 hashes at most."""
BATCH_BYTES: Final = 96 * KIB
"""Bytes of a batch: fits a frame of 128 KiB after sealing and padding."""
BATCH_AUTHORS: Final = 1024
"""Entries in a batch's author table."""
PROOF_BYTES: Final = 8 * BATCH_BYTES + 4 * KIB
"""Bytes of the proof of one event: its batch, an invite's and those that let its town in, without their other events,
their paths, a certificate and a genesis. Those of charters are small, unless somebody fills them up."""
PROOF_EVENTS: Final = 64
"""Other events that a proof may rest on: each costs a signature, and towns that let in one another are seldom deep."""

# -- Charters ----------------------------------------------------------------------------------------------------
EPOCH_PREDECESSORS: Final = 16
"""Epochs begun at once that one takes the place of (format)."""
EPOCH_RECIPIENTS: Final = 512
"""Replicas and open invites that a key is wrapped for, 117 bytes each: one event holds them all."""

# -- Fields (checked where a write is made, not where it is received) --------------------------------------------
LOWEST_PRIORITY: Final = 4
"""The number of the least urgent priority; 0 is the most urgent one."""
TITLE_CHARS: Final = 500
LABEL_CHARS: Final = 100
EDGE_TYPE_CHARS: Final = 50
NAME_BYTES: Final = 255
"""Bytes of a status, an issue type or a person's name: they stand in index keys."""
ELEMENT_BYTES: Final = TEXT_BYTES + 2 * KIB
"""Bytes of one packed edge, comment, metadata or extra entry: a text and what surrounds it still fit an event."""
SHARED_ELEMENT_BYTES: Final = 1 * KIB
"""Bytes of an element that may share an event with others when a file is imported; a larger one stands alone."""
SCRIPT_STEPS: Final = 1000
"""Steps of one script: they all hold up other writers."""
UNDO_EVENTS: Final = 1_000
"""Events of one write that can be undone: as many are written, in one transaction."""
CLAIM_TTL_LEAST_MS: Final = 10_000
"""Milliseconds that a claim with an end holds at least: each renewal is an event for every machine of the town."""
CLAIM_TTL_MOST_MS: Final = 90 * DAY_MS
"""Milliseconds that it holds at most: whoever wants longer wants no end."""
CLAIMS_WATCHED: Final = 256
"""Claims of one actor that a machine watches: looked at with each of their commands."""
JSON_NESTING: Final = 64
"""Depth of arrays and objects in imported values that Moot only keeps: far below where JSON parsers give up."""
FORMULA_STEPS: Final = 500
"""Steps of one formula: poured, they become issues in one transaction."""
FORMULA_VALUE_CHARS: Final = 4_000
"""Characters of one value of a formula's variable: it stands in the texts of every step that names it."""
FORMULA_PATTERN_CHARS: Final = 200
"""Characters of the pattern that a formula has for a variable: somebody else may have written it."""
FORMULA_MATCHED_CHARS: Final = 200
"""Characters of a value that is held against such a pattern."""
TOML_KEY_PARTS: Final = 32
"""Parts of one dotted key: the parser's time grows with their square."""
TOML_NESTING: Final = 64
"""Depth of arrays and tables within one value: the parser calls itself for each."""
TOML_DIGITS: Final = 640
"""Digits of one whole number: reading it takes time that grows with their square, and a Python may be told to read no
more."""
DOCUMENT_NAME_CHARS: Final = 64
"""Characters of a role's, formula's or template's name."""
MEMORY_KEY_BYTES: Final = 120
"""Bytes of a memory's key: with its project it is an entity's id."""
SETTING_KEY_BYTES: Final = 120
"""Bytes of a setting's key: as of a memory's."""
CUSTOM_STATUSES: Final = 50
"""Statuses of a project's own: lists look at each of them."""
SETTING_BYTES: Final = 16 * KIB
"""Bytes of a setting's value: values stand in records, which are read whole."""
ID_PREFIX_CHARS: Final = 40
"""Characters of a project's issue prefix."""
WAITERS_OF_ISSUE: Final = 100
"""Names that wait for one issue: they stand in one field."""
NUDGE_CHARS: Final = 500
"""Characters of a nudge: it is told among the output of other commands."""
SHARE_COPIES: Final = 1_000
"""Issues that one share begins with: each is read and written within one transaction."""
SHARE_RULE_BYTES: Final = 4 * KIB
"""Bytes of a rule that says what of an issue is shared: it stands in the record of every share."""
SHORT_ID_CHARS: Final = 4
"""Fewest characters of an issue id's random part that are accepted in its place."""

# -- Searching ---------------------------------------------------------------------------------------------------
QUERY_CHARS: Final = 4096
"""Characters of a query."""
QUERY_PARTS: Final = 256
"""Comparisons in a query: each may be asked of every issue."""
QUERY_NESTING: Final = 64
"""Depth of parentheses and NOTs: reading and evaluating go down with it."""
PATTERN_STEPS: Final = 2_000
"""Instructions of a regular expression: what one character of a text may cost."""
PATTERN_NESTING: Final = 50
"""Groups within groups of one."""

# -- Reading (every replica must read alike, so a change here is a new version) -----------------------------------
LINEAGE_STEPS: Final = 4096
"""Writes of one key looked at to find what two of them have in common; beyond it they show as a conflict."""
MERGE_STEPS: Final = 100_000
"""Lines compared and paths tried for one side of a text merge: some 400 changed lines, a tenth of a second."""
CYCLE_STEPS: Final = 3_000_000
"""Issues and edges looked at to find which edges of one tangle of cycles are left out: a second or two, and what 12,000
edges take in the worst order. Edges on which it isn't decided by then are left out."""

# -- Clock -------------------------------------------------------------------------------------------------------
CLOCK_AHEAD_MS: Final = 10 * MINUTE_MS
"""Milliseconds a batch may be ahead of this machine's wall clock before it is parked."""

# -- Batches held but not accepted (this machine) ----------------------------------------------------------------
ASIDE_BATCHES_PER_AUTHOR: Final = 100
"""Parked or unlinked batches kept for one author; beyond that only the head is remembered."""
ASIDE_BYTES_PER_AUTHOR: Final = 1 * MIB
"""Bytes of those batches."""

# -- Exchange (this machine) -------------------------------------------------------------------------------------
SYNC_MESSAGE_BYTES: Final = 8 * MIB
"""Bytes of one message of a session before it is sealed."""
WANT_RANGES: Final = 1024
"""Entries in one request for batches."""
FRONTIER_ENTRIES: Final = 65_536
"""Authors in one frontier."""
FRAME_BYTES: Final = 8 * MIB
"""Bytes of a sealed frame: a Git remote's segment."""
LIVE_FRAME_BYTES: Final = 128 * KIB
"""Bytes of a frame on a live remote: brokers of every make carry so much."""
DECOMPRESSED_BYTES: Final = 16 * MIB
"""Bytes of a message out of a frame, and of the window for decompressing it."""
COMPRESSION_RATIO: Final = 50
"""How many times longer than its compressed form a message may be; one that is more so is sent as it is."""

TICKET_CHARS: Final = 8192
"""Characters of a ticket: one line that a terminal and a chat still take whole."""
TICKET_REMOTES: Final = 16
"""Remotes in one ticket."""
URL_BYTES: Final = 1024
"""Bytes of a remote's address."""
REMOTE_NAME_CHARS: Final = 40
"""Characters of a remote's name: it stands in a column of lists and in every line of the log about the remote."""

VERSION_CHARS: Final = 255
"""Characters of a version that is still read: bounds the work on numbers that someone else chose."""

# -- Outbox (this machine) ---------------------------------------------------------------------------------------
OUTBOX_FRAMES: Final = 1_000
"""Frames that wait for one remote; beyond it the oldest makes way, and is made again from the log."""
OUTBOX_BYTES: Final = 64 * MIB
"""Bytes of those frames."""

# -- Spool (this machine) ----------------------------------------------------------------------------------------
SPOOL_FILES: Final = 1_000
"""Commands that wait in one spool; beyond it the client refuses, since nothing else holds that write."""
SPOOL_BYTES: Final = 16 * MIB
"""Bytes of those commands."""
SPOOL_ENTRY_BYTES: Final = 1 * MIB
"""Bytes of one command: a script of a few hundred steps, or sixteen of the longest texts."""
SPOOL_ENTRY_MS: Final = 30 * DAY_MS
"""How long a command counts, and so how long its id is kept to know it again."""
SPOOL_REFUSED_FILES: Final = 100
"""Files kept that were no commands; beyond it the oldest is removed."""
SPOOL_ANSWERS: Final = 1_000
"""Answers kept that nobody has fetched; beyond it the oldest is removed."""
SNAPSHOT_ISSUES: Final = 5_000
"""Issues in a workspace's snapshot: those not closed first, then the latest closed."""
SNAPSHOT_LOST: Final = 1_000
"""Lost claims that a snapshot tells of."""
SNAPSHOT_BYTES: Final = 8 * MIB
"""Bytes of a snapshot: a client reads all of it for every command."""

# -- Settings (this machine) -------------------------------------------------------------------------------------
CONFIG_BYTES: Final = 64 * KIB
"""Bytes of `config.toml`: a few lines, written by hand; it is read whole."""

# -- Control socket (this machine) -------------------------------------------------------------------------------
RPC_FRAME_BYTES: Final = 8 * MIB
"""Bytes of one frame on the control socket."""
SOCKET_PATH_BYTES: Final = 107
"""Bytes a Unix socket's path may have: `sun_path` has 108 on Linux, the last of them zero."""
RPC_CLIENTS: Final = 256
"""Connections served at once."""
RPC_CLIENTS_PER_USER: Final = 64
"""Connections of one user of the system other than the daemon's own: no user of a shared socket takes all of them."""
RPC_IN_FLIGHT: Final = 64
"""Requests of one connection worked on at once."""
RPC_CONSOLES: Final = 64
"""Commands hosted at once: each has a thread."""
RPC_BUFFER_BYTES: Final = 1 * MIB
"""Bytes waiting for a client that reads slowly before the daemon stops working for it."""
RPC_CHUNK_BYTES: Final = 256 * KIB
"""Bytes of a file or of output in one frame between a command and its client."""
RPC_STALL_MS: Final = MINUTE_MS
"""How long a client may leave a frame half sent or its answers unread."""
RPC_PAGER_MS: Final = HOUR_MS
"""How long it may leave a command's output unread: there, someone may be reading it page by page."""
RPC_GRACE_MS: Final = 5_000
"""How long a daemon that is told to stop waits for what it has begun."""
DEADLINE_MS: Final = 10_000
"""Default time a request may take, in milliseconds."""
DEADLINE_MAX_MS: Final = DAY_MS
"""Longest deadline a request may set."""
IDEMPOTENCY_KEY_BYTES: Final = 128
IDEMPOTENCY_TTL_MS: Final = DAY_MS
"""How long the answer to a keyed mutation is kept."""

# -- Writer (this machine) ---------------------------------------------------------------------------------------
WRITER_QUEUE: Final = 4096
"""Writes of each sort (interactive, bulk) that may wait for the writer: all of one sort go into one transaction, which
must stay within a fraction of a second and of memory. Beyond it: `busy`."""

# -- Mirrors (this machine) --------------------------------------------------------------------------------------
MIRROR_BYTES: Final = 64 * MIB
"""Bytes of a mirrored file: it is read whole, and held a few times over while it is compared."""
MIRROR_VERSIONS: Final = 64
"""Earlier versions of a project's file that are recognised: the branches that somebody goes back and forth between."""
MIRROR_VERSIONS_SLACK: Final = 16
"""Versions more than that which may pile up before the oldest are forgotten together."""
MIRRORS: Final = 64
"""Mirrors of one machine: each has a watch."""

# -- Access and audit (this machine) -----------------------------------------------------------------------------
ACCESS_BYTES: Final = 1 * MIB
"""Bytes of an access file: it is read whole for requests that rules bind."""
ACCESS_NESTING: Final = 8
"""Depth of an access file's mappings and lists: it is read by going down with it."""
ACCESS_USERS: Final = 10_000
"""Users that one access file may name: it is read whole."""
ACCESS_PATTERNS: Final = 256
"""Permissions, or restrictions, of one user: each is compared for a decision."""
ACCESS_PATTERN_CHARS: Final = 300
ACCESS_TOKENS: Final = 1_000
"""API tokens of one machine, those kept that are good no more included: a list shows them all."""
ACCESS_TOKEN_NOTE_CHARS: Final = 200
ACCESS_TOKEN_USE_MS: Final = 3_600_000
"""How exactly the last use of a token is known, in milliseconds: each time it is noted costs a commit."""
ACCESS_ROWS: Final = 10_000
"""Rows of a list that are looked through for those that somebody's rules let them see."""
AUDIT_RECORDS: Final = 1_000
"""Audit records in one answer, however many are asked for."""
AUDIT_DETAIL_CHARS: Final = 2_000
"""Characters of one text in an audit record: the rest is left out, and said to be."""
AUDIT_GATHERED: Final = 256
"""Different reads that were allowed and await their record: whoever comes next waits until these are written."""
AUDIT_GATHERED_MS: Final = 1000
"""How long they are left to gather: each writing costs a commit, and a crash loses what wasn't written."""
AUDIT_RESOURCES: Final = 64
"""Names of what a request is about that are decided on and recorded one by one; with more it is refused."""

# -- Lists -------------------------------------------------------------------------------------------------------
LIST_LIMIT: Final = 50
"""Rows of a list unless another number is asked for: a few screens."""
READY_LIMIT: Final = 100
"""Rows of what is ready, or blocked, unless another number is asked for: all of it where work is kept small."""
LONGEST_LIMIT: Final = 2**31 - 1
"""Rows: the longest limit of a list that means something; a longer one means all, since no list has so many."""

# -- Leases (every replica of a town must read alike, so a change here is a new version) --------------------------
LEASE_MARGIN_MS: Final = MINUTE_MS
"""Milliseconds before its end that a holder stops, and after it that others wait: clocks two minutes apart are safe."""
LEASE_LEAST_MS: Final = 5 * MINUTE_MS
"""Milliseconds that a lease holds at least: well above twice the margin."""
LEASE_MOST_MS: Final = 7 * DAY_MS
"""Milliseconds that it holds at most: whoever is gone for good keeps others waiting so long."""
LEASE_MS: Final = 30 * MINUTE_MS
"""Milliseconds that it holds unless another time is asked for."""
