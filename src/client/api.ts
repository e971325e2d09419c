// Written by `npm run export:openapi` from the OpenAPI document; not to be changed by hand.

/** Any JSON: what the document leaves open, as the answer of an upstream. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }
export interface JsonObject {
  readonly [name: string]: Json
}

export interface Reason {
  readonly code: string
  readonly message: string
  readonly source: string
}

export interface Result {
  readonly status: number
  readonly body: Json
  /** those that matter to a caller; only where there are some */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly truncated?: boolean
  /** of all of it, where this is its beginning */
  readonly bytes?: number
  /** of all of it, where this is its beginning */
  readonly sha256?: string
  /** some of it is on record as digests only */
  readonly masked?: true
}

export interface AskedFor {
  readonly subject: {
    readonly type: string
    readonly id: string
  }
  readonly action: {
    readonly name: string
  }
  readonly resource: {
    readonly type: string
    readonly id: string
  } | null
  readonly args: JsonObject
  readonly context: JsonObject
  readonly reason: string | null
  readonly cost: string | null
  /** what a client sent along; only where it did */
  readonly headers?: Readonly<Record<string, string>>
}

export interface Performed {
  readonly action_id: string
  readonly decision_id: string
  readonly decision: 'allow'
  readonly status: 'succeeded' | 'failed'
  readonly result: Result
  readonly revision: string
  readonly joined?: boolean
}

export interface DryRun {
  readonly dry_run: true
  readonly decision_id: string
  readonly decision: 'allow' | 'deny' | 'require_approval'
  readonly reasons: readonly Reason[]
  readonly shadow: readonly Reason[]
  readonly trace: readonly JsonObject[]
  readonly revision: string
}

export interface Held {
  readonly action_id: string
  readonly decision_id: string
  readonly decision: 'require_approval'
  readonly approval: {
    readonly id: string
    readonly status: string
    readonly expires_at: string
  }
  readonly reasons: readonly Reason[]
  readonly revision: string
  readonly next_action: string
  readonly joined?: boolean
}

export interface Action {
  readonly id: string
  readonly decision_id: string
  readonly agent: string
  readonly agent_name: string | null
  readonly request: AskedFor
  readonly effect: 'allow' | 'deny' | 'require_approval'
  readonly status: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
  /** @deprecated the same as `status` */
  readonly state: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
  readonly revision: string
  readonly error?: {
    readonly code: string
    readonly message: string
  }
  readonly result?: Result
  readonly approval?: {
    readonly id: string
    readonly status: 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'failed'
    readonly decided_by: string | null
    readonly reason: string | null
  }
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
}

export interface Vote {
  readonly approver: string
  readonly vote: 'approve' | 'deny'
  readonly reason: string
  /** @deprecated the same as `reason` */
  readonly comment: string
  readonly at: string
}

export interface Target {
  readonly upstream: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly body: string | null
  /** those that are not of every call; only where there are some */
  readonly headers?: JsonObject
  /** of a multipart body */
  readonly parts?: readonly JsonObject[]
  /** the whole body, where it is one file */
  readonly file?: JsonObject
  /** whether it still is what the approval was asked for; nothing else is ever sent */
  readonly unchanged: boolean
}

export interface Approval {
  readonly id: string
  /** what waits: an action that is held, or an enforcement point that asked for access */
  readonly origin: 'action' | 'access_request'
  /** empty where nothing is held here */
  readonly action_id: string
  readonly decision_id?: string
  readonly agent: string
  readonly agent_name: string | null
  readonly owner: string | null
  readonly tool: string
  readonly args?: JsonObject
  readonly resource?: {
    readonly type: string
    readonly id: string
  } | null
  readonly context?: JsonObject
  /** why the agent asks for it */
  readonly agent_reason?: string | null
  readonly cost?: string | null
  readonly files?: readonly {
    readonly n: number
    readonly arg: string
    readonly filename: string | null
    readonly content_type: string
    readonly bytes: number
    readonly sha256: string
    /** where its bytes are, while it is held */
    readonly url: string
  }[]
  /** who asks for what; the rest for whoever may decide */
  readonly access_request?: {
    readonly task_id: string
    /** which of the task’s items, from 0 */
    readonly item: number
    readonly subject: JsonObject
    readonly resource: JsonObject | null
    readonly requested_access?: JsonObject
    readonly client?: JsonObject
  }
  /** what would be sent */
  readonly target?: Target | null
  /** of the tool, by the live policy */
  readonly effect?: 'read' | 'write' | 'irreversible'
  readonly may_vote?: {
    readonly approve: boolean
    readonly deny: boolean
    /** why not */
    readonly why: string | null
  }
  readonly status: 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'failed'
  /** why it is held */
  readonly reason: string
  readonly reasons?: readonly Reason[]
  readonly quorum: number
  readonly approver_roles: readonly string[]
  readonly votes: readonly Vote[]
  readonly request_hash: string
  readonly revision: string
  readonly created_at: string
  readonly expires_at: string
  readonly decided_at: string | null
  /** where a person can decide; absolute under PUBLIC_SERVER_URL */
  readonly url: string
}

export interface Agent {
  readonly name: string
  readonly owner: string
  readonly roles: readonly string[]
  readonly description: string
  readonly category: string
  /** whether it is one, or in what */
  readonly specialist: boolean | string
  readonly version: string
  readonly tags: readonly string[]
  readonly profile: string
  readonly properties: JsonObject
  /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
  readonly monthly_budget: string | number | null
  /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
  readonly per_action_limit: string | number | null
  /** percent of the monthly budget at which an alert is raised, once a month */
  readonly thresholds: readonly number[]
  /** how many of its actions may be under way at once; null for no bound */
  readonly instances: number | null
  readonly id: string
  readonly status: 'initializing' | 'active' | 'paused' | 'stopped' | 'retired'
  readonly status_reason?: string
  readonly template: string | null
  readonly manifest_hash: string | null
  readonly started_at: string | null
  readonly created_at: string
  readonly updated_at: string
  /** where it was asked for; `today` begins at midnight, UTC */
  readonly activity?: {
    /** of its last decision */
    readonly last_seen_at: string | null
    readonly today: {
      readonly allow: number
      readonly deny: number
      readonly require_approval: number
    }
  }
}

export interface Month {
  readonly month: string
  readonly spent: string
  readonly reserved: string
  readonly limit: string | null
  readonly remaining: string | null
  readonly percent: number | null
}

export interface Report {
  readonly id: string
  readonly agent: string
  readonly action_type: string
  readonly target: string
  readonly cost: string
  readonly outcome: 'success' | 'failure'
  readonly metadata: Json
  readonly created_at: string
}

export interface KillScope {
  readonly agent: string | null
  readonly agent_id?: string
  readonly tool: string | null
  readonly upstream: string | null
}

export interface Diagnostic {
  readonly file: string
  readonly line: number
  readonly col: number
  readonly end: {
    readonly line: number
    readonly col: number
  }
  readonly code: string
  readonly message: string
  readonly severity: 'error' | 'warning'
  readonly hint?: string
}

export interface PolicyTool {
  readonly name: string
  readonly upstream: string
  readonly method: string
  readonly path: string
  readonly effect: string
}

export interface PolicyGuard {
  readonly id: string
  readonly kind: string
  readonly mode: string
  readonly location: JsonObject
}

export interface AuditEntry {
  readonly seq: number | string
  readonly at: string
  readonly kind: string
  readonly hash: string
  readonly prev_hash: string
  readonly [name: string]: Json | undefined
}

export interface Checkpoint {
  readonly size: number
  readonly head: string
  readonly at: string
  readonly key_id: string
  readonly signature: string
}

export interface GateFailure {
  readonly code: 'invalid_request' | 'not_requestable' | 'invalid_denial_binding' | 'per_action_limit_exceeded' | 'unauthenticated' | 'policy_denied' | 'no_such_tool' | 'approval_required' | 'agent_paused' | 'budget_exceeded' | 'forbidden' | 'insufficient_scope' | 'unknown_agent' | 'invalid_signature' | 'manifest_replayed' | 'not_found' | 'no_such_scope' | 'unknown_task' | 'method_not_allowed' | 'in_flight' | 'conflict' | 'read_only_policy' | 'duplicate_request' | 'invalid_task_state' | 'expired_denial' | 'task_expired' | 'stale_revision' | 'payload_too_large' | 'unsupported_media_type' | 'upgrade_required' | 'risky_content' | 'policy_invalid' | 'idempotency_mismatch' | 'rate_limited' | 'overloaded' | 'internal_error' | 'not_implemented' | 'upstream_unreachable' | 'upstream_redirected' | 'response_too_large' | 'response_unreadable' | 'outcome_unrecorded' | 'credential_unavailable' | 'kill_switch_engaged' | 'kill_state_unknown' | 'audit_unavailable' | 'store_unavailable' | 'no_policy' | 'clock_skew' | 'shutting_down' | 'llm_unconfigured' | 'issuer_unavailable' | 'outcome_unknown'
  readonly message: string
  readonly retryable: boolean
  /** what to do now, where there is something better */
  readonly next_action?: string
  readonly action_id?: string
  readonly decision_id?: string
  readonly turn_id?: string
  readonly plan_id?: string
  readonly reasons?: readonly Reason[]
  readonly revision?: string
  /** when a full window opens again */
  readonly retry_at?: string
  /** the same request had been sent before: this is that one */
  readonly joined?: boolean
  /** what the approval or action already is */
  readonly status?: string
  /** each mistake of a request */
  readonly problems?: readonly string[]
  /** each mistake of a file that is imported */
  readonly rows?: readonly JsonObject[]
  /** each mistake of a policy */
  readonly diagnostics?: readonly Diagnostic[]
  /** the change, where it can not be made here */
  readonly patch?: string
}

/** Every call of the API, by method and path: what it takes, and what it answers when it does not fail. */
export interface Calls {
  /** Take one action through the gate. */
  'POST /act': {
    path: object
    query: object
    body: {
      readonly tool: string
      readonly args?: JsonObject
      readonly resource?: {
        readonly type: string
        readonly id: string
      }
      readonly context?: JsonObject
      readonly reason?: string
      /** units of the budget currency, at most six decimals, such as "0.05" */
      readonly cost?: string | number
      readonly dry_run?: boolean
      readonly wait_s?: number
    }
    answer: Performed | DryRun | Held
  }
  /** Liveness. */
  'GET /health': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly status: 'ok'
      readonly version: string
    }
  }
  /** Liveness. */
  'GET /healthz': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly status: 'ok'
      readonly version: string
    }
  }
  /** Readiness, every dependency by name. */
  'GET /readyz': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly ready: boolean
      readonly checks: readonly {
        readonly name: string
        readonly ready: boolean
        readonly detail?: string
      }[]
    }
  }
  /** Prometheus metrics. */
  'GET /metrics': {
    path: object
    query: object
    body: undefined
    answer: string
  }
  /** What this gate is. */
  'GET /meta': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly name: 'portcullis'
      readonly version: string
      readonly replica: string
      readonly node: string
      readonly environment: string
      readonly database: 'postgresql' | 'embedded'
      readonly effects: readonly string[]
    }
  }
  /** How this gate is doing. */
  'GET /state': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly policy: {
        readonly revision: string
        readonly stale: boolean
      }
      readonly kill_switch: {
        readonly known: boolean
        readonly engaged: number
      }
      readonly actions: Readonly<Record<string, number>>
      readonly audit: {
        readonly size: number
        readonly head: string
        readonly degraded: boolean
      }
      readonly replica: string
      readonly replicas: readonly {
        readonly id: string
        readonly host: string
        readonly version: string
        readonly revision: string
        readonly started_at: string
      }[]
      readonly uptime_s: number
    }
  }
  /** Decisions in steps of time, by effect, tool or agent. */
  'GET /stats/series': {
    path: object
    query: {
      readonly metric?: 'decisions'
      readonly by?: 'effect' | 'tool' | 'agent'
      readonly since?: string
      readonly until?: string
      readonly step_s?: number
    }
    body: undefined
    answer: {
      readonly since: string
      readonly until: string
      readonly step_s: number
      readonly series: readonly {
        /** null: all that are not among the 20 largest */
        readonly name: string | null
        readonly points: readonly number[]
      }[]
    }
  }
  /** Spend in steps of time, by agent, tool or upstream. */
  'GET /api/v1/spend/series': {
    path: object
    query: {
      readonly by?: 'agent' | 'tool' | 'upstream'
      readonly since?: string
      readonly until?: string
      readonly step_s?: number
    }
    body: undefined
    answer: {
      readonly since: string
      readonly until: string
      readonly step_s: number
      readonly series: readonly {
        /** null: all that are not among the 20 largest */
        readonly name: string | null
        readonly points: readonly string[]
      }[]
    }
  }
  /** List actions, newest first; an agent sees its own. */
  'GET /actions': {
    path: object
    query: {
      readonly status?: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
      /** @deprecated  */
      readonly state?: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
      readonly tool?: string
      readonly agent?: string
      readonly effect?: 'allow' | 'deny' | 'require_approval'
      readonly upstream?: string
      readonly error_code?: string
      readonly since?: string
      readonly until?: string
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly actions: readonly Action[]
      /** how many match, whatever the page; 1000 stands for that or more */
      readonly total: number
      readonly next_cursor: string | null
    }
  }
  /** Read an action; `wait_s` waits for one that is not final. */
  'GET /actions/{id}': {
    path: {
      readonly id: string
    }
    query: {
      readonly wait_s?: number
    }
    body: undefined
    answer: Action
  }
  /** Why it was decided so, rule by rule. */
  'GET /actions/{id}/explain': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly action_id: string
      readonly decision_id: string
      readonly tool: string
      readonly effect: 'allow' | 'deny' | 'require_approval'
      readonly status: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
      /** @deprecated the same as `status` */
      readonly state: 'held' | 'executing' | 'succeeded' | 'failed' | 'indeterminate' | 'denied' | 'expired' | 'cancelled'
      /** that decided; its own files explain it */
      readonly revision: string
      /** whether that revision is the policy now */
      readonly live?: boolean
      readonly reasons: readonly JsonObject[]
      readonly shadow?: readonly JsonObject[]
      readonly obligations?: readonly JsonObject[]
      readonly trace?: readonly JsonObject[]
      readonly approvals?: readonly Vote[]
      readonly audit?: readonly JsonObject[]
    }
  }
  /** The whole of an answer that was too large for `POST /act`, while it is kept. */
  'GET /actions/{id}/result': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: string
  }
  /** Say what became of an action whose outcome is unknown. */
  'POST /actions/{id}/settle': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly outcome: 'succeeded' | 'failed'
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: Action
  }
  /** The tools there are, and what rules say of an agent that would use them. */
  'GET /tools': {
    path: object
    query: {
      readonly agent?: string
    }
    body: undefined
    answer: {
      readonly tools: readonly {
        readonly name: string
        readonly description: string
        /** JSON Schema of the args */
        readonly args: JsonObject
        readonly effect: 'read' | 'write' | 'irreversible'
        readonly upstream: string
        readonly method: string
        readonly path: string
        /** `depends`: on the args, on what was done before, or on a module */
        readonly may: 'allow' | 'require_approval' | 'deny' | 'depends'
      }[]
    }
  }
  /** How upstreams have done since this replica started, from the calls it made. */
  'GET /upstreams': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly upstreams: readonly {
        readonly name: string
        readonly protocol: string
        readonly base_url: string
        readonly health: 'ok' | 'failing' | 'unknown'
        readonly calls: number
        readonly answered: number
        readonly not_sent: number
        readonly unknown: number
        readonly latency_ms: {
          readonly last: number
          readonly mean: number
          readonly max: number
        } | null
        readonly last: {
          readonly at: string
          readonly result: 'answered' | 'not_sent' | 'unknown'
          readonly status: number | null
        } | null
      }[]
    }
  }
  /** List approvals with all it takes to judge them, newest first; an agent sees its own. */
  'GET /approvals': {
    path: object
    query: {
      readonly status?: 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'failed'
      readonly agent?: string
      readonly order?: 'newest' | 'expiry'
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly approvals: readonly Approval[]
      /** all that wait for a vote, on whatever page */
      readonly pending: number
      readonly next_cursor: string | null
    }
  }
  /** Read an approval with its votes and the request it is for. */
  'GET /approvals/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly id: string
      /** what waits: an action that is held, or an enforcement point that asked for access */
      readonly origin: 'action' | 'access_request'
      /** empty where nothing is held here */
      readonly action_id: string
      readonly decision_id?: string
      readonly agent: string
      readonly agent_name: string | null
      readonly owner: string | null
      readonly tool: string
      readonly args?: JsonObject
      readonly resource?: {
        readonly type: string
        readonly id: string
      } | null
      readonly context?: JsonObject
      /** why the agent asks for it */
      readonly agent_reason?: string | null
      readonly cost?: string | null
      readonly files?: readonly {
        readonly n: number
        readonly arg: string
        readonly filename: string | null
        readonly content_type: string
        readonly bytes: number
        readonly sha256: string
        /** where its bytes are, while it is held */
        readonly url: string
      }[]
      /** who asks for what; the rest for whoever may decide */
      readonly access_request?: {
        readonly task_id: string
        /** which of the task’s items, from 0 */
        readonly item: number
        readonly subject: JsonObject
        readonly resource: JsonObject | null
        readonly requested_access?: JsonObject
        readonly client?: JsonObject
      }
      /** what would be sent */
      readonly target?: Target | null
      /** of the tool, by the live policy */
      readonly effect?: 'read' | 'write' | 'irreversible'
      readonly may_vote?: {
        readonly approve: boolean
        readonly deny: boolean
        /** why not */
        readonly why: string | null
      }
      readonly status: 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'failed'
      /** why it is held */
      readonly reason: string
      readonly reasons?: readonly Reason[]
      readonly quorum: number
      readonly approver_roles: readonly string[]
      readonly votes: readonly Vote[]
      readonly request_hash: string
      readonly revision: string
      readonly created_at: string
      readonly expires_at: string
      readonly decided_at: string | null
      /** where a person can decide; absolute under PUBLIC_SERVER_URL */
      readonly url: string
      readonly request: AskedFor | null
    }
  }
  /** Download a file of what is held, by its number in `files`. */
  'GET /approvals/{id}/files/{n}': {
    path: {
      readonly id: string
      readonly n: string
    }
    query: object
    body: undefined
    answer: string
  }
  /** Approve what is held. */
  'POST /approvals/{id}/approve': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly approval: Approval
    }
  }
  /** Deny what is held. */
  'POST /approvals/{id}/deny': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly approval: Approval
    }
  }
  /** Withdraw what is held: by the agent that asked, or an operator. */
  'POST /approvals/{id}/cancel': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly approval: Approval
    }
  }
  /** Approve or deny several of what is held; a vote that is refused leaves the others. */
  'POST /approvals/votes': {
    path: object
    query: object
    body: {
      /** in the order in which they are to count */
      readonly votes: readonly {
        readonly id: string
        readonly vote: 'approve' | 'deny'
      }[]
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: {
      readonly votes: readonly {
        readonly id: string
        /** as it is now; null: the vote was refused */
        readonly approval: Approval | null
        /** why it was refused */
        readonly error: {
          readonly code: string
          readonly message: string
        } | null
      }[]
    }
  }
  /** The live policy: revision, files, tools, guards. */
  'GET /policy': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly stale: boolean
      readonly rejected?: {
        readonly at: string
        readonly reason: string
        readonly diagnostics: readonly Diagnostic[]
      }
      readonly revision: string
      readonly loaded_at: string
      readonly environment: string
      readonly files: readonly {
        readonly path: string
        readonly sha256: string
        readonly bytes: number
      }[]
      readonly counts: Readonly<Record<string, number>>
      readonly entrypoints: readonly Json[]
      readonly tools: readonly PolicyTool[]
      readonly guards: readonly PolicyGuard[]
      readonly warnings: readonly Diagnostic[]
    }
  }
  /** Load the policy files again; a broken one changes nothing. */
  'POST /policy/reload': {
    path: object
    query: object
    body: {
      readonly path?: string
    } | undefined
    answer: {
      readonly reloaded: true
      readonly changed: boolean
      readonly revision: string
      readonly loaded_at: string
      readonly environment: string
      readonly files: readonly {
        readonly path: string
        readonly sha256: string
        readonly bytes: number
      }[]
      readonly counts: Readonly<Record<string, number>>
      readonly entrypoints: readonly Json[]
      readonly tools: readonly PolicyTool[]
      readonly guards: readonly PolicyGuard[]
      readonly warnings: readonly Diagnostic[]
    }
  }
  /** Check policy files without loading them. */
  'POST /policy/check': {
    path: object
    query: object
    body: {
      readonly path?: string
      /** a whole policy. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
    } | undefined
    answer: {
      readonly valid: true
      readonly revision: string
      readonly loaded_at: string
      readonly environment: string
      readonly files: readonly {
        readonly path: string
        readonly sha256: string
        readonly bytes: number
      }[]
      readonly counts: Readonly<Record<string, number>>
      readonly entrypoints: readonly Json[]
      readonly tools: readonly PolicyTool[]
      readonly guards: readonly PolicyGuard[]
      readonly warnings: readonly Diagnostic[]
    }
  }
  /** The files of the live policy, or of a past revision, as they were written. */
  'GET /policy/files': {
    path: object
    query: {
      readonly revision?: string
      readonly path?: string
    }
    body: undefined
    answer: {
      readonly revision: string
      readonly live: boolean
      /** a file that was loaded in place of gate.yaml */
      readonly stand_in?: string
      readonly files: readonly {
        readonly path: string
        readonly sha256: string
        readonly bytes: number
        /** of a text */
        readonly content?: string
        /** of what is no text */
        readonly base64?: string
        /** too large to be one of many: ask for it by `path` */
        readonly omitted?: true
      }[]
    }
  }
  /** Publish a policy: all of its files, or nothing. */
  'PUT /policy/files': {
    path: object
    query: {
      readonly dry_run?: boolean
    }
    body: {
      /** path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: {
      readonly revision: string
      readonly parent: string
      /** false: the same files were the policy already */
      readonly changed: boolean
      /** where the policy is kept */
      readonly source: 'directory' | 'database'
      readonly dry_run?: true
      readonly warnings: readonly Diagnostic[]
      /** replicas that decide by another revision still, after a second */
      readonly unconfirmed: readonly string[]
    } | {
      readonly publish: {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }
      readonly next_action: string
    }
  }
  /** What became the policy: who, when, why; newest first. */
  'GET /policy/revisions': {
    path: object
    query: {
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly publications: readonly {
        /** its place in the order, from 1 */
        readonly n: number
        readonly revision: string
        readonly parent: string | null
        readonly author: string | null
        readonly source: 'directory' | 'bundle' | 'api' | 'rollback' | 'environment'
        readonly note: string | null
        readonly files_changed: readonly string[]
        readonly tests: {
          /** cases of `must_deny` and `must_allow`, which hold */
          readonly must: number
          /** tests that do not hold, which a rollback only tells */
          readonly failed: number
        }
        readonly published_at: string
        readonly retired_at: string | null
      }[]
      readonly next_cursor: string | null
    }
  }
  /** One revision: what it is made of, and when it was the policy. */
  'GET /policy/revisions/{revision}': {
    path: {
      readonly revision: string
    }
    query: object
    body: undefined
    answer: {
      readonly revision: string
      readonly live: boolean
      readonly files: readonly {
        readonly path: string
        readonly sha256: string
        readonly bytes: number
      }[]
      /** whether their contents are kept still */
      readonly files_kept: boolean
      readonly counts: Readonly<Record<string, number>>
      readonly publications: readonly {
        /** its place in the order, from 1 */
        readonly n: number
        readonly revision: string
        readonly parent: string | null
        readonly author: string | null
        readonly source: 'directory' | 'bundle' | 'api' | 'rollback' | 'environment'
        readonly note: string | null
        readonly files_changed: readonly string[]
        readonly tests: {
          /** cases of `must_deny` and `must_allow`, which hold */
          readonly must: number
          /** tests that do not hold, which a rollback only tells */
          readonly failed: number
        }
        readonly published_at: string
        readonly retired_at: string | null
      }[]
    }
  }
  /** What differs between two revisions: the lines, and what they mean. */
  'GET /policy/diff': {
    path: object
    query: {
      readonly from: string
      readonly to?: string
    }
    body: undefined
    answer: {
      readonly from: string
      readonly to: string
      readonly files: readonly {
        readonly path: string
        readonly change: 'added' | 'removed' | 'changed'
        /** null: no text, or too much of it differs */
        readonly diff: string | null
      }[]
      /** guards, permissions, budgets, rates, tools, upstreams and settings, by name */
      readonly meaning: readonly {
        readonly kind: string
        readonly name: string
        readonly change: 'added' | 'removed' | 'changed'
        readonly before: Json
        readonly after: Json
      }[]
    }
  }
  /** Go back to a revision that was live before. */
  'POST /policy/rollback': {
    path: object
    query: {
      readonly dry_run?: boolean
    }
    body: {
      readonly revision: string
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: {
      readonly revision: string
      readonly parent: string
      /** false: the same files were the policy already */
      readonly changed: boolean
      /** where the policy is kept */
      readonly source: 'directory' | 'database'
      readonly dry_run?: true
      readonly warnings: readonly Diagnostic[]
      /** replicas that decide by another revision still, after a second */
      readonly unconfirmed: readonly string[]
    }
  }
  /** Publishes that wait, or waited, for other people; newest first. */
  'GET /policy/publishes': {
    path: object
    query: {
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly publishes: readonly {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }[]
      readonly next_cursor: string | null
    }
  }
  /** One of them, with its votes and what it would change. */
  'GET /policy/publishes/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly id: string
      readonly revision: string
      readonly base: string
      readonly author: string
      readonly note: string
      readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
      readonly quorum: number
      readonly roles: readonly string[]
      readonly created_at: string
      readonly expires_at: string
      readonly decided_at: string | null
      readonly votes: readonly {
        readonly approver: string
        readonly vote: 'approve' | 'deny'
        readonly reason: string | null
        readonly at: string
      }[]
      readonly diff: {
        readonly files: readonly {
          readonly path: string
          readonly change: 'added' | 'removed' | 'changed'
          /** null: no text, or too much of it differs */
          readonly diff: string | null
        }[]
        /** guards, permissions, budgets, rates, tools, upstreams and settings, by name */
        readonly meaning: readonly {
          readonly kind: string
          readonly name: string
          readonly change: 'added' | 'removed' | 'changed'
          readonly before: Json
          readonly after: Json
        }[]
      } | null
    }
  }
  /** Agree to a publish; the last vote that it needs publishes it. */
  'POST /policy/publishes/{id}/approve': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly publish: {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }
      /** null: it waits for more votes */
      readonly outcome: {
        readonly revision: string
        readonly parent: string
        /** false: the same files were the policy already */
        readonly changed: boolean
        /** where the policy is kept */
        readonly source: 'directory' | 'database'
        readonly dry_run?: true
        readonly warnings: readonly Diagnostic[]
        /** replicas that decide by another revision still, after a second */
        readonly unconfirmed: readonly string[]
      } | null
    }
  }
  /** Refuse a publish. */
  'POST /policy/publishes/{id}/deny': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly publish: {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }
    }
  }
  /** Withdraw a publish: its author, or an admin. */
  'POST /policy/publishes/{id}/cancel': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly publish: {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }
    }
  }
  /** What a policy would decide, and why; nothing is charged, counted, asked or sent. */
  'POST /policy/try': {
    path: object
    query: object
    body: {
      /** a draft, whole; default: what is live. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
      /** an agent of the registry, as it is now */
      readonly agent?: string
      /** an agent that need not be */
      readonly profile?: {
        readonly id?: string
        readonly name?: string
        readonly owner?: string
        readonly roles?: readonly string[]
        readonly status?: 'initializing' | 'active' | 'paused' | 'stopped' | 'retired'
        readonly properties?: JsonObject
      }
      readonly tool: string
      readonly args?: JsonObject
      readonly context?: JsonObject
      readonly resource?: {
        readonly type: string
        readonly id: string
      }
      /** a declared cost */
      readonly cost?: string
      /** answers of look-ups, by name; none is made */
      readonly facts?: JsonObject
      /** the time that it sees; default: now */
      readonly at?: string
    }
    answer: {
      readonly decision: 'allow' | 'deny' | 'require_approval'
      readonly reasons: readonly Reason[]
      readonly shadow: readonly Reason[]
      readonly obligations: readonly JsonObject[]
      /** as `GET /actions/{id}/explain` has it */
      readonly trace: readonly JsonObject[]
      readonly revision: string
    }
  }
  /** Run the tests of a policy: matrices, `must_` cases and `test_` rules. */
  'POST /policy/test': {
    path: object
    query: object
    body: {
      /** a draft, whole; default: what is live. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
    } | undefined
    answer: {
      readonly passed: number
      readonly failed: number
      readonly todo: number
      readonly results: readonly {
        readonly kind: 'rego' | 'matrix'
        readonly name: string
        readonly file: string
        readonly line: number
        readonly outcome: 'passed' | 'failed' | 'todo'
        readonly want?: string
        readonly got?: string
        /** the first expression that did not hold, with its values */
        readonly stopped?: string
        /** guards and rules, strongest first */
        readonly decided_by?: readonly string[]
      }[]
      /** of Rego; null without `test_` rules */
      readonly coverage: {
        readonly percent: number
        /** lines that no test reaches, by file */
        readonly missed: Readonly<Record<string, readonly number[]>>
      } | null
    }
  }
  /** What rules say of agents and tools, or of roles and tools. */
  'POST /policy/matrix': {
    path: object
    query: object
    body: {
      /** a draft, whole; default: what is live. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
      /** agents of the registry */
      readonly agents?: readonly string[]
      /** in place of agents: one that has this role alone, for each */
      readonly roles?: readonly string[]
      /** default: all */
      readonly tools?: readonly string[]
    } | undefined
    answer: {
      readonly revision: string
      readonly tools: readonly string[]
      readonly rows: readonly {
        readonly agent: string
        readonly may: readonly ('allow' | 'require_approval' | 'deny' | 'depends')[]
      }[]
    }
  }
  /** Rego in the one layout; of other texts only the end of the line is mended. */
  'POST /policy/format': {
    path: object
    query: object
    body: {
      readonly files: Readonly<Record<string, string>>
    }
    answer: {
      readonly files: Readonly<Record<string, string>>
      readonly changed: readonly string[]
    }
  }
  /** Replays, newest first; their reports are read one by one. */
  'GET /policy/replays': {
    path: object
    query: {
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly replays: readonly {
        readonly id: string
        readonly status: 'queued' | 'running' | 'finished' | 'failed'
        /** null: of a draft */
        readonly revision: string | null
        readonly from: string
        readonly to: string
        readonly agent: string | null
        readonly tool: string | null
        readonly effect: 'allow' | 'deny' | 'require_approval' | null
        readonly sample: number | null
        readonly requested_by: string
        readonly done: number
        readonly total: number
        readonly error: string | null
        readonly created_at: string
        readonly started_at: string | null
        readonly finished_at: string | null
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Decide what is on record again by another policy, with what was known then. */
  'POST /policy/replays': {
    path: object
    query: object
    body: {
      /** a draft, whole. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
      /** a revision that is kept; default, without `files`: the live one */
      readonly revision?: string
      /** default: a day before `to` */
      readonly from?: string
      /** default: now */
      readonly to?: string
      /** an agent's decisions alone, by name or id */
      readonly agent?: string
      readonly tool?: string
      /** those that came out so */
      readonly effect?: 'allow' | 'deny' | 'require_approval'
      /** about as many, evenly taken */
      readonly sample?: number
    } | undefined
    answer: {
      readonly id: string
      readonly status: 'queued' | 'running' | 'finished' | 'failed'
      /** null: of a draft */
      readonly revision: string | null
      readonly from: string
      readonly to: string
      readonly agent: string | null
      readonly tool: string | null
      readonly effect: 'allow' | 'deny' | 'require_approval' | null
      readonly sample: number | null
      readonly requested_by: string
      readonly done: number
      readonly total: number
      readonly error: string | null
      readonly created_at: string
      readonly started_at: string | null
      readonly finished_at: string | null
    }
  }
  /** How far a replay is, and what came of it. */
  'GET /policy/replays/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly id: string
      readonly status: 'queued' | 'running' | 'finished' | 'failed'
      /** null: of a draft */
      readonly revision: string | null
      readonly from: string
      readonly to: string
      readonly agent: string | null
      readonly tool: string | null
      readonly effect: 'allow' | 'deny' | 'require_approval' | null
      readonly sample: number | null
      readonly requested_by: string
      readonly done: number
      readonly total: number
      readonly error: string | null
      readonly created_at: string
      readonly started_at: string | null
      readonly finished_at: string | null
      readonly report: {
        /** of the policy that was asked */
        readonly revision: string
        readonly decisions: number
        readonly same: number
        readonly new_allow: number
        readonly new_deny: number
        readonly new_hold: number
        /** decisions in which a guard or a module failed */
        readonly errors: number
        readonly by_policy: number
        readonly by_counter: number
        /** what could not be decided again, by why */
        readonly unplayable: Readonly<Record<string, number>>
        /** the rules that made a difference, most changes first */
        readonly rules: readonly {
          readonly from: 'allow' | 'deny' | 'require_approval'
          readonly to: 'allow' | 'deny' | 'require_approval'
          /** `counter`: only because other decisions of the replay came out otherwise */
          readonly made_by: 'policy' | 'counter'
          /** whose rule it is; of what is let through, that of then */
          readonly policy: 'candidate' | 'recorded'
          readonly source: string
          readonly code: string
          readonly message: string
          readonly file: string | null
          readonly line: number | null
          readonly count: number
          readonly examples: readonly {
            readonly action_id: string
            readonly agent: string
            readonly tool: string
            readonly at: string
            readonly revision: string
            readonly recorded: {
              readonly reasons: readonly JsonObject[]
              readonly trace: readonly JsonObject[]
            }
            readonly candidate: {
              readonly reasons: readonly JsonObject[]
              readonly trace: readonly JsonObject[]
            }
          }[]
        }[]
        readonly rules_omitted: number
        readonly agents: readonly {
          readonly name: string
          readonly changed: number
        }[]
        readonly tools: readonly {
          readonly name: string
          readonly changed: number
        }[]
        /** guards whose counters the record does not know */
        readonly begun_at_zero: readonly string[]
        readonly sampled: boolean
        /** more was asked for than one replay decides again */
        readonly truncated: boolean
      } | null
    }
  }
  /** The policy that is on trial, or was last, and what came of it. */
  'GET /policy/canary': {
    path: object
    query: object
    body: undefined
    answer: {
      /** the one that runs, or ran last; null: there never was one */
      readonly canary: {
        readonly id: string
        readonly status: 'running' | 'promoted' | 'aborted' | 'expired'
        /** of the candidate */
        readonly revision: string
        /** what was live when it began */
        readonly base: string
        /** `compare`: the candidate is only asked; `enforce`: it decides for its share */
        readonly mode: 'compare' | 'enforce'
        readonly percent: number
        /** ids; null: any */
        readonly agents: readonly string[] | null
        /** null: any */
        readonly roles: readonly string[] | null
        readonly until: string
        /** it ends by itself when the last five minutes have one of these, on all replicas */
        readonly abort_when: {
          /** so many decisions in which the candidate failed */
          readonly errors?: number
          /** as many times as many denials as the live policy has of the same decisions, of which there have to be 20 */
          readonly deny_rate_x?: number
          /** so many denials of what the live policy does not deny */
          readonly new_denials?: number
          /** so many actions about which one of the two cannot be asked: it takes the request for another call (a route that is gone), or needs a look-up that was not made */
          readonly unplayable?: number
          /** so many decisions in which the one that does not decide got no turn in 250 ms, which each of them waited */
          readonly late?: number
        }
        readonly author: string
        readonly note: string | null
        readonly started_at: string
        readonly ended_at: string | null
        /** null: it ended by itself, or runs */
        readonly ended_by: string | null
        readonly ended_because: {
          readonly code: 'promoted' | 'person' | 'superseded' | 'until' | 'unloadable' | 'errors' | 'deny_rate_x' | 'new_denials' | 'unplayable' | 'late'
          readonly message: string
        } | null
        /** decisions that both were asked about, from what the live one says to what the candidate says, such as `allow_deny`; `same`, `reasons` (the same effect for other reasons), `error`, `unplayable` (the other one could not be asked), `late` (it did not get its turn in time); null: cannot be read at the moment */
        readonly changes: Readonly<Record<string, number>> | null
        /** null: cannot be read at the moment */
        readonly last_5_min: {
          readonly decisions: number
          readonly errors: number
          readonly denied_live: number
          readonly denied_by_candidate: number
          readonly new_denials: number
          readonly unplayable: number
          readonly late: number
        } | null
      } | null
    }
  }
  /** Try a policy beside the live one: compare it, or let it decide for a share of the agents. */
  'POST /policy/canary': {
    path: object
    query: object
    body: {
      /** the candidate, whole. path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps */
      readonly files?: Readonly<Record<string, string | {
        readonly base64: string
      } | {
        readonly sha256: string
      }>>
      /** or a revision that is kept */
      readonly revision?: string
      /** `compare`: the candidate is only asked; `enforce`: it decides for its share */
      readonly mode: 'compare' | 'enforce'
      /** of the agents; each is always on one side */
      readonly percent: number
      /** of these alone, by name or id */
      readonly agents?: readonly string[]
      /** of those alone that have one of these */
      readonly roles?: readonly string[]
      /** when it ends */
      readonly until: string
      /** it ends by itself when the last five minutes have one of these, on all replicas */
      readonly abort_when: {
        /** so many decisions in which the candidate failed */
        readonly errors?: number
        /** as many times as many denials as the live policy has of the same decisions, of which there have to be 20 */
        readonly deny_rate_x?: number
        /** so many denials of what the live policy does not deny */
        readonly new_denials?: number
        /** so many actions about which one of the two cannot be asked: it takes the request for another call (a route that is gone), or needs a look-up that was not made */
        readonly unplayable?: number
        /** so many decisions in which the one that does not decide got no turn in 250 ms, which each of them waited */
        readonly late?: number
      }
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: {
      readonly canary: {
        readonly id: string
        readonly status: 'running' | 'promoted' | 'aborted' | 'expired'
        /** of the candidate */
        readonly revision: string
        /** what was live when it began */
        readonly base: string
        /** `compare`: the candidate is only asked; `enforce`: it decides for its share */
        readonly mode: 'compare' | 'enforce'
        readonly percent: number
        /** ids; null: any */
        readonly agents: readonly string[] | null
        /** null: any */
        readonly roles: readonly string[] | null
        readonly until: string
        /** it ends by itself when the last five minutes have one of these, on all replicas */
        readonly abort_when: {
          /** so many decisions in which the candidate failed */
          readonly errors?: number
          /** as many times as many denials as the live policy has of the same decisions, of which there have to be 20 */
          readonly deny_rate_x?: number
          /** so many denials of what the live policy does not deny */
          readonly new_denials?: number
          /** so many actions about which one of the two cannot be asked: it takes the request for another call (a route that is gone), or needs a look-up that was not made */
          readonly unplayable?: number
          /** so many decisions in which the one that does not decide got no turn in 250 ms, which each of them waited */
          readonly late?: number
        }
        readonly author: string
        readonly note: string | null
        readonly started_at: string
        readonly ended_at: string | null
        /** null: it ended by itself, or runs */
        readonly ended_by: string | null
        readonly ended_because: {
          readonly code: 'promoted' | 'person' | 'superseded' | 'until' | 'unloadable' | 'errors' | 'deny_rate_x' | 'new_denials' | 'unplayable' | 'late'
          readonly message: string
        } | null
        /** decisions that both were asked about, from what the live one says to what the candidate says, such as `allow_deny`; `same`, `reasons` (the same effect for other reasons), `error`, `unplayable` (the other one could not be asked), `late` (it did not get its turn in time); null: cannot be read at the moment */
        readonly changes: Readonly<Record<string, number>> | null
        /** null: cannot be read at the moment */
        readonly last_5_min: {
          readonly decisions: number
          readonly errors: number
          readonly denied_live: number
          readonly denied_by_candidate: number
          readonly new_denials: number
          readonly unplayable: number
          readonly late: number
        } | null
      }
    }
  }
  /** Publish the policy that is on trial. */
  'POST /policy/canary/promote': {
    path: object
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly revision: string
      readonly parent: string
      /** false: the same files were the policy already */
      readonly changed: boolean
      /** where the policy is kept */
      readonly source: 'directory' | 'database'
      readonly dry_run?: true
      readonly warnings: readonly Diagnostic[]
      /** replicas that decide by another revision still, after a second */
      readonly unconfirmed: readonly string[]
    } | {
      readonly publish: {
        readonly id: string
        readonly revision: string
        readonly base: string
        readonly author: string
        readonly note: string
        readonly status: 'pending' | 'published' | 'denied' | 'cancelled' | 'stale' | 'failed' | 'expired'
        readonly quorum: number
        readonly roles: readonly string[]
        readonly created_at: string
        readonly expires_at: string
        readonly decided_at: string | null
      }
      readonly next_action: string
    }
  }
  /** End the trial: the live policy decides for all again. */
  'POST /policy/canary/abort': {
    path: object
    query: object
    body: {
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    } | undefined
    answer: {
      readonly canary: {
        readonly id: string
        readonly status: 'running' | 'promoted' | 'aborted' | 'expired'
        /** of the candidate */
        readonly revision: string
        /** what was live when it began */
        readonly base: string
        /** `compare`: the candidate is only asked; `enforce`: it decides for its share */
        readonly mode: 'compare' | 'enforce'
        readonly percent: number
        /** ids; null: any */
        readonly agents: readonly string[] | null
        /** null: any */
        readonly roles: readonly string[] | null
        readonly until: string
        /** it ends by itself when the last five minutes have one of these, on all replicas */
        readonly abort_when: {
          /** so many decisions in which the candidate failed */
          readonly errors?: number
          /** as many times as many denials as the live policy has of the same decisions, of which there have to be 20 */
          readonly deny_rate_x?: number
          /** so many denials of what the live policy does not deny */
          readonly new_denials?: number
          /** so many actions about which one of the two cannot be asked: it takes the request for another call (a route that is gone), or needs a look-up that was not made */
          readonly unplayable?: number
          /** so many decisions in which the one that does not decide got no turn in 250 ms, which each of them waited */
          readonly late?: number
        }
        readonly author: string
        readonly note: string | null
        readonly started_at: string
        readonly ended_at: string | null
        /** null: it ended by itself, or runs */
        readonly ended_by: string | null
        readonly ended_because: {
          readonly code: 'promoted' | 'person' | 'superseded' | 'until' | 'unloadable' | 'errors' | 'deny_rate_x' | 'new_denials' | 'unplayable' | 'late'
          readonly message: string
        } | null
        /** decisions that both were asked about, from what the live one says to what the candidate says, such as `allow_deny`; `same`, `reasons` (the same effect for other reasons), `error`, `unplayable` (the other one could not be asked), `late` (it did not get its turn in time); null: cannot be read at the moment */
        readonly changes: Readonly<Record<string, number>> | null
        /** null: cannot be read at the moment */
        readonly last_5_min: {
          readonly decisions: number
          readonly errors: number
          readonly denied_live: number
          readonly denied_by_candidate: number
          readonly new_denials: number
          readonly unplayable: number
          readonly late: number
        } | null
      }
    }
  }
  /** Which kill switches are engaged. */
  'GET /kill-switch': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly engaged: boolean
      readonly known: boolean
      readonly switches: readonly {
        readonly scope: KillScope
        readonly reason: string
        readonly actor: string
        readonly engaged_at: string
      }[]
    }
  }
  /** Engage or release the kill switch for everything, an agent, a tool or an upstream. */
  'PUT /kill-switch': {
    path: object
    query: object
    body: {
      readonly engaged: boolean
      readonly scope?: {
        readonly agent?: string
        readonly tool?: string
        readonly upstream?: string
      }
      /** why; it goes on the record */
      readonly reason?: string
      /** @deprecated the same as `reason` */
      readonly comment?: string
      /** @deprecated the same as `reason` */
      readonly note?: string
    }
    answer: {
      readonly engaged: boolean
      readonly scope: KillScope
      readonly covers?: Json
      readonly reason: string
      readonly actor: string
      readonly recorded?: boolean
      readonly unconfirmed?: readonly string[]
    }
  }
  /** Who did what, why, when, and who approved; newest first. */
  'GET /audit/timeline': {
    path: object
    query: {
      readonly agent?: string
      readonly tool?: string
      readonly decision?: 'allow' | 'deny' | 'require_approval'
      readonly kind?: string
      readonly action?: string
      readonly since?: string
      readonly until?: string
      readonly limit?: number
      readonly cursor?: number
    }
    body: undefined
    answer: {
      readonly entries: readonly AuditEntry[]
      readonly next_cursor: string | null
    }
  }
  /** One entry of the record, by its number. */
  'GET /audit/entries/{seq}': {
    path: {
      readonly seq: string
    }
    query: object
    body: undefined
    answer: AuditEntry
  }
  /** Signed heads of the record, newest first. */
  'GET /audit/checkpoints': {
    path: object
    query: {
      readonly limit?: number
      readonly cursor?: number
    }
    body: undefined
    answer: {
      readonly checkpoints: readonly Checkpoint[]
      readonly next_cursor: string | null
    }
  }
  /** Whether the record is whole and complete: two verdicts. */
  'GET /audit/verify': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly integrity: 'ok' | 'broken'
      readonly completeness: 'ok' | 'broken' | 'unknown'
      readonly entries: number
      readonly head: string
      readonly checkpoints: number
      readonly signed_size: string
      readonly archived_size: string
      readonly losses: readonly {
        readonly lost_size: number
        readonly lost_head: string
        readonly size: number
        readonly head: string
        readonly accepted_at: string
        readonly reason: string
        readonly key_id: string
        readonly signature: string
        readonly verified: boolean
      }[]
      readonly findings: readonly {
        readonly code: string
        readonly seq: string
        readonly message: string
      }[]
    }
  }
  /** The newest signed checkpoint, and the keys to check it by. */
  'GET /audit/checkpoint': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly checkpoint: Checkpoint | null
      readonly public_key: string
      readonly keys: readonly {
        readonly key_id: string
        readonly public_key: string
      }[]
    }
  }
  /** The whole record as newline-delimited JSON, for `portcullis audit verify`. */
  'GET /audit/export': {
    path: object
    query: object
    body: undefined
    answer: string
  }
  /** The entries of `/audit/timeline` as CSV, all of them, newest first. */
  'GET /audit/timeline.csv': {
    path: object
    query: {
      readonly agent?: string
      readonly tool?: string
      readonly decision?: 'allow' | 'deny' | 'require_approval'
      readonly kind?: string
      readonly action?: string
      readonly since?: string
      readonly until?: string
    }
    body: undefined
    answer: string
  }
  /** The same record over WebSocket; an agent sees its own. */
  'GET /api/v1/agents/activity/stream': {
    path: object
    query: {
      readonly types?: readonly string[]
      readonly agent?: string
      readonly tool?: string
      readonly effect?: 'allow' | 'deny' | 'require_approval'
      readonly last_event_id?: string
    }
    body: undefined
    answer: never
  }
  /** The record as server-sent events; an agent sees its own. */
  'GET /events': {
    path: object
    query: {
      readonly types?: readonly string[]
      readonly agent?: string
      readonly tool?: string
      readonly effect?: 'allow' | 'deny' | 'require_approval'
      readonly last_event_id?: string
      readonly unnamed?: boolean
    }
    body: undefined
    answer: string
  }
  /** List agents. */
  'GET /api/v1/agents': {
    path: object
    query: {
      readonly role?: string
      readonly category?: string
      readonly specialist?: string
      readonly status?: 'initializing' | 'active' | 'paused' | 'stopped' | 'retired'
      readonly tag?: string
      readonly owner?: string
      readonly q?: string
      readonly activity?: boolean
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly agents: readonly Agent[]
      readonly next_cursor: string | null
    }
  }
  /** Create an agent; its key is shown this once. */
  'POST /api/v1/agents': {
    path: object
    query: object
    body: {
      readonly name: string
      readonly owner?: string
      readonly roles?: readonly string[]
      /** shorthand for one role */
      readonly role?: string
      readonly description?: string
      readonly category?: string
      /** whether it is one, or in what */
      readonly specialist?: boolean | string
      readonly version?: string
      readonly tags?: readonly string[]
      readonly profile?: string
      readonly properties?: JsonObject
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly monthly_budget?: string | number | null
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly per_action_limit?: string | number | null
      /** percent of the monthly budget at which an alert is raised, once a month */
      readonly thresholds?: readonly number[]
      /** how many of its actions may be under way at once; null for no bound */
      readonly instances?: number | null
    }
    answer: {
      readonly agent: Agent
      /** null where a write is repeated with another key than it was sent with at first */
      readonly api_key: string | null
    }
  }
  /** Create many agents from a JSON, YAML or CSV file: all of them, or none. */
  'POST /api/v1/agents/import': {
    path: object
    query: {
      readonly keys?: boolean
    }
    body: readonly JsonObject[] | JsonObject | string
    answer: {
      readonly imported: number
      readonly agents: readonly {
        readonly id: string
        readonly name: string
        /** null where a write is repeated with another key than it was sent with at first */
        readonly api_key?: string | null
      }[]
    }
  }
  /** Count agents by status, role, category and owner. */
  'GET /api/v1/agents/stats/summary': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly total: number
      readonly by_status: Readonly<Record<string, number>>
      readonly by_role: Readonly<Record<string, number>>
      readonly by_category: Readonly<Record<string, number>>
      readonly by_owner: Readonly<Record<string, number>>
      readonly specialists: number
      readonly budgeted: number
    }
  }
  /** Read an agent by its name. */
  'GET /api/v1/agents/name/{name}': {
    path: {
      readonly name: string
    }
    query: object
    body: undefined
    answer: {
      readonly agent: Agent
    }
  }
  /** Read an agent by its id or name, with its month, perhaps with its latest reports. */
  'GET /api/v1/agents/{id}': {
    path: {
      readonly id: string
    }
    query: {
      readonly include?: 'actions'
      readonly activity?: boolean
    }
    body: undefined
    answer: {
      readonly agent: Agent
      readonly budget: Month
      readonly actions?: readonly Report[]
    }
  }
  /** Change an agent; members that are not given stay. */
  'PUT /api/v1/agents/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly name?: string
      readonly owner?: string
      readonly roles?: readonly string[]
      /** shorthand for one role */
      readonly role?: string
      readonly description?: string
      readonly category?: string
      /** whether it is one, or in what */
      readonly specialist?: boolean | string
      readonly version?: string
      readonly tags?: readonly string[]
      readonly profile?: string
      readonly properties?: JsonObject
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly monthly_budget?: string | number | null
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly per_action_limit?: string | number | null
      /** percent of the monthly budget at which an alert is raised, once a month */
      readonly thresholds?: readonly number[]
      /** how many of its actions may be under way at once; null for no bound */
      readonly instances?: number | null
      readonly status?: 'active' | 'paused' | 'stopped'
      readonly status_reason?: string
    } | undefined
    answer: {
      readonly agent: Agent
    }
  }
  /** Change an agent; members that are not given stay. */
  'PATCH /api/v1/agents/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly name?: string
      readonly owner?: string
      readonly roles?: readonly string[]
      /** shorthand for one role */
      readonly role?: string
      readonly description?: string
      readonly category?: string
      /** whether it is one, or in what */
      readonly specialist?: boolean | string
      readonly version?: string
      readonly tags?: readonly string[]
      readonly profile?: string
      readonly properties?: JsonObject
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly monthly_budget?: string | number | null
      /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
      readonly per_action_limit?: string | number | null
      /** percent of the monthly budget at which an alert is raised, once a month */
      readonly thresholds?: readonly number[]
      /** how many of its actions may be under way at once; null for no bound */
      readonly instances?: number | null
      readonly status?: 'active' | 'paused' | 'stopped'
      readonly status_reason?: string
    } | undefined
    answer: {
      readonly agent: Agent
    }
  }
  /** Unregister an agent: its keys stop, what waits for an approval is cancelled. */
  'DELETE /api/v1/agents/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Mark an agent as active, as one does that starts a task. */
  'POST /api/v1/agents/{id}/activate': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly agent: Agent
    }
  }
  /** Start, stop, restart, pause, resume, retire or scale an agent. */
  'POST /api/v1/agents/{id}/action': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly action: 'start' | 'stop' | 'restart' | 'pause' | 'resume' | 'retire' | 'scale'
      readonly instances?: number
      readonly reason?: string
    }
    answer: {
      readonly agent: Agent
    }
  }
  /** How an agent is doing. */
  'GET /api/v1/agents/{id}/status': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly agent_id: string
      readonly name: string
      readonly status: string
      readonly status_reason: string | null
      readonly instances: number | null
      readonly started_at: string | null
      readonly uptime_s: number | null
      readonly updated_at: string
    }
  }
  /** List templates, the newest version of each. */
  'GET /api/v1/templates': {
    path: object
    query: {
      readonly name?: string
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly templates: readonly {
        readonly id: string
        readonly name: string
        readonly version: number
        readonly description: string
        readonly config: JsonObject
        readonly created_by: string
        readonly created_at: string
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Add a template, or the next version of one. */
  'POST /api/v1/templates': {
    path: object
    query: object
    body: {
      readonly name: string
      readonly description?: string
      readonly config: {
        readonly name?: string
        readonly owner?: string
        readonly roles?: readonly string[]
        /** shorthand for one role */
        readonly role?: string
        readonly description?: string
        readonly category?: string
        /** whether it is one, or in what */
        readonly specialist?: boolean | string
        readonly version?: string
        readonly tags?: readonly string[]
        readonly profile?: string
        readonly properties?: JsonObject
        /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
        readonly monthly_budget?: string | number | null
        /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
        readonly per_action_limit?: string | number | null
        /** percent of the monthly budget at which an alert is raised, once a month */
        readonly thresholds?: readonly number[]
        /** how many of its actions may be under way at once; null for no bound */
        readonly instances?: number | null
        /** free; kept in `properties`, and its `owner` is the owner where none is given */
        readonly metadata?: JsonObject
      }
    }
    answer: {
      readonly template: {
        readonly id: string
        readonly name: string
        readonly version: number
        readonly description: string
        readonly config: JsonObject
        readonly created_by: string
        readonly created_at: string
      }
    }
  }
  /** Read a template by id or name: one version, or the newest. */
  'GET /api/v1/templates/{id}': {
    path: {
      readonly id: string
    }
    query: {
      readonly version?: number
    }
    body: undefined
    answer: {
      readonly template: {
        readonly id: string
        readonly name: string
        readonly version: number
        readonly description: string
        readonly config: JsonObject
        readonly created_by: string
        readonly created_at: string
      }
    }
  }
  /** Make an agent from a template, a configuration or a signed manifest. */
  'POST /api/v1/agents/spawn': {
    path: object
    query: object
    body: {
      /** id or name of a template */
      readonly template?: string
      readonly template_version?: number
      readonly agent_config?: {
        readonly name?: string
        readonly owner?: string
        readonly roles?: readonly string[]
        /** shorthand for one role */
        readonly role?: string
        readonly description?: string
        readonly category?: string
        /** whether it is one, or in what */
        readonly specialist?: boolean | string
        readonly version?: string
        readonly tags?: readonly string[]
        readonly profile?: string
        readonly properties?: JsonObject
        /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
        readonly monthly_budget?: string | number | null
        /** units of the budget currency, at most six decimals, such as "0.05"; null for no bound */
        readonly per_action_limit?: string | number | null
        /** percent of the monthly budget at which an alert is raised, once a month */
        readonly thresholds?: readonly number[]
        /** how many of its actions may be under way at once; null for no bound */
        readonly instances?: number | null
        /** free; kept in `properties`, and its `owner` is the owner where none is given */
        readonly metadata?: JsonObject
      }
      readonly signed_manifest?: {
        /** members of an agent, `manifest_version`, and perhaps `expires_at` */
        readonly manifest: JsonObject
        readonly key_id: string
        /** Ed25519, base64 */
        readonly signature: string
      }
    } | undefined
    answer: {
      readonly ok: true
      readonly agent_id: string
      readonly status: 'initializing'
      readonly agent: Agent
      /** null where a write is repeated with another key than it was sent with at first */
      readonly api_key: string | null
    }
  }
  /** Bring an agent up to a newer signed manifest. */
  'PUT /api/v1/agents/{id}/manifest': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly signed_manifest: {
        /** members of an agent, `manifest_version`, and perhaps `expires_at` */
        readonly manifest: JsonObject
        readonly key_id: string
        /** Ed25519, base64 */
        readonly signature: string
      }
    }
    answer: {
      readonly agent: Agent
    }
  }
  /** List API keys, and when each was used last. */
  'GET /api/v1/keys': {
    path: object
    query: {
      readonly agent?: string
    }
    body: undefined
    answer: {
      readonly keys: readonly {
        readonly id: string
        readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
        readonly name: string
        readonly agent: string | null
        readonly issued_by: string | null
        readonly created_at: string
        readonly revoked_at: string | null
        readonly expires_at: string | null
        /** by now; a gate tells its peers once a minute */
        readonly last_used_at: string | null
      }[]
    }
  }
  /** Create an API key; it is shown this once. */
  'POST /api/v1/keys': {
    path: object
    query: object
    body: {
      readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
      readonly name: string
      readonly agent?: string
    }
    answer: {
      readonly id: string
      readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
      readonly name: string
      /** null where a write is repeated with another key than it was sent with at first */
      readonly key: string | null
    }
  }
  /** Revoke an API key: refused everywhere within a second. */
  'DELETE /api/v1/keys/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Replace an API key by a new one; the old one works on for a while. */
  'POST /api/v1/keys/{id}/rotate': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** how long the old key goes on working; default 3600 */
      readonly overlap_s?: number
    } | undefined
    answer: {
      readonly id: string
      readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
      readonly name: string
      /** null where a write is repeated with another key than it was sent with at first */
      readonly key: string | null
      readonly old_expire_at: string
    }
  }
  /** Replace all keys of an agent by a new one; an agent may do so itself. */
  'POST /api/v1/agents/{id}/keys/rotate': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      /** how long the old key goes on working; default 3600 */
      readonly overlap_s?: number
    } | undefined
    answer: {
      readonly id: string
      readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
      readonly name: string
      /** null where a write is repeated with another key than it was sent with at first */
      readonly key: string | null
      readonly old_expire_at: string
    }
  }
  /** Whose key this is: its name, its role, and the agent it acts as. */
  'GET /whoami': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly key_id: string
      readonly name: string
      readonly role: 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'
      readonly agent: {
        readonly id: string
        readonly name: string
        readonly status: string
        readonly owner: string
      } | null
    }
  }
  /** List alerts, newest first. */
  'GET /api/v1/alerts': {
    path: object
    query: {
      readonly agent?: string
      readonly type?: string
      readonly state?: 'open' | 'acknowledged'
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly alerts: readonly {
        readonly id: string
        readonly type: string
        readonly agent: string | null
        readonly message: string
        readonly details: JsonObject
        readonly at: string
        readonly state: 'open' | 'acknowledged'
        readonly acknowledged_at: string | null
        readonly acknowledged_by: string | null
      }[]
      /** all that nobody has acknowledged, on whatever page */
      readonly open: number
      readonly next_cursor: string | null
    }
  }
  /** Say that an alert was seen; who did so first stays on record. */
  'POST /api/v1/alerts/{id}/acknowledge': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly id: string
      readonly type: string
      readonly agent: string | null
      readonly message: string
      readonly details: JsonObject
      readonly at: string
      readonly state: 'open' | 'acknowledged'
      readonly acknowledged_at: string | null
      readonly acknowledged_by: string | null
    }
  }
  /** What became of notices, newest first. */
  'GET /webhooks/deliveries': {
    path: object
    query: {
      readonly state?: 'waiting' | 'sending' | 'retrying' | 'delivered' | 'failed'
      readonly limit?: number
    }
    body: undefined
    answer: {
      readonly receivers: {
        readonly approvals: string | null
        readonly alerts: string | null
      }
      readonly deliveries: readonly {
        /** the `webhook-id` that the receiver gets, the same at each attempt */
        readonly id: string
        readonly to: 'approvals' | 'alerts'
        readonly type: string | null
        readonly approval: string | null
        /** its id, where an alert is about one */
        readonly agent: string | null
        readonly state: 'waiting' | 'sending' | 'retrying' | 'delivered' | 'failed'
        readonly attempts: number
        /** of the last attempt that failed */
        readonly error: string | null
        readonly created_at: string
        /** of what waits */
        readonly next_at: string | null
        readonly ended_at: string | null
      }[]
    }
  }
  /** Send a notice that says nothing, by the way of all others. */
  'POST /webhooks/test': {
    path: object
    query: object
    body: {
      readonly to: 'approvals' | 'alerts'
    }
    answer: {
      readonly id: string
      readonly to: 'approvals' | 'alerts'
    }
  }
  /** Propose changes of files; an accepted plan becomes an artifact. */
  'POST /plan': {
    path: object
    query: object
    body: {
      readonly goal?: string
      readonly changes?: readonly {
        readonly path: string
        /** null or absent: there is no such file */
        readonly before?: string | null
        /** null or absent: there is no such file */
        readonly after?: string | null
        /** a unified diff of this file alone */
        readonly patch?: string
      }[]
    } | undefined
    answer: {
      readonly id: string
      readonly status: 'accepted' | 'refused'
      readonly agent: string | null
      readonly actor: string
      readonly goal: string | null
      readonly paths: readonly string[]
      readonly diff_sha256: string
      readonly reasons: readonly Reason[]
      readonly revision: string
      readonly created_at: string
      /** what PLANS_DIR/<id>.json holds */
      readonly artifact: JsonObject | null
      /** its name in PLANS_DIR */
      readonly file: string | null
    }
  }
  /** List plans, newest first; an agent sees its own. */
  'GET /plans': {
    path: object
    query: {
      readonly status?: 'accepted' | 'refused'
      readonly agent?: string
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly plans: readonly {
        readonly id: string
        readonly status: 'accepted' | 'refused'
        readonly agent: string | null
        readonly actor: string
        readonly goal: string | null
        readonly paths: readonly string[]
        readonly diff_sha256: string
        readonly reasons: readonly Reason[]
        readonly revision: string
        readonly created_at: string
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Read a plan with its artifact. */
  'GET /plans/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly id: string
      readonly status: 'accepted' | 'refused'
      readonly agent: string | null
      readonly actor: string
      readonly goal: string | null
      readonly paths: readonly string[]
      readonly diff_sha256: string
      readonly reasons: readonly Reason[]
      readonly revision: string
      readonly created_at: string
      /** what PLANS_DIR/<id>.json holds */
      readonly artifact: JsonObject | null
    }
  }
  /** Give the model a prompt; each tool call it proposes is an action of the agent. */
  'POST /turn': {
    path: object
    query: object
    body: {
      readonly prompt: string
      readonly context?: JsonObject
    }
    answer: {
      readonly turn_id: string
      readonly status: 'completed' | 'stopped'
      readonly text: string | null
      readonly stopped_by?: {
        readonly code: string
        readonly message: string
      }
      readonly actions?: readonly {
        /** null: it could not even become an action */
        readonly action_id: string | null
        readonly decision_id?: string
        readonly tool: string
        readonly decision: 'allow' | 'deny' | 'require_approval'
        readonly status: string
        readonly http_status?: number
        readonly approval_id?: string
        readonly code?: string
        readonly message?: string
      }[]
      readonly model_calls?: readonly string[]
      readonly usage?: {
        readonly prompt_tokens: number
        readonly completion_tokens: number
        readonly total_tokens: number
      } | null
      readonly model?: string | null
      readonly revision?: string
    }
  }
  /** Ask the model, without tools. */
  'POST /llm/chat': {
    path: object
    query: object
    body: {
      readonly prompt?: string
      readonly messages?: readonly {
        readonly role: 'system' | 'user' | 'assistant'
        readonly content: string
      }[]
      readonly max_tokens?: number
      readonly temperature?: number
      readonly seed?: number
    } | undefined
    answer: {
      readonly action_id: string
      readonly decision_id: string
      readonly text: string
      readonly finish_reason: string
      readonly usage: {
        readonly prompt_tokens: number
        readonly completion_tokens: number
        readonly total_tokens: number
      } | null
      readonly model: string
      readonly revision: string
    } | Held
  }
  /** Whether a model is configured, and which; never the key. */
  'GET /llm/status': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly configured: boolean
      readonly provider: string | null
      readonly base_url: string | null
      readonly has_key: boolean
      readonly model: string
      readonly temperature: number
      readonly seed: number
      readonly max_tokens: number
      readonly max_tool_calls: number
      readonly timeout_s: number
      readonly priced: boolean
    }
  }
  /** The models that turns may use, with their prices; never a key. */
  'GET /llm/models': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly models: readonly {
        readonly name: string
        readonly provider: string | null
        readonly base_url: string | null
        readonly configured: boolean
        readonly has_key: boolean
        readonly max_tokens: number
        readonly max_tool_calls: number
        readonly timeout_s: number
        readonly price: {
          readonly input_per_million: string
          readonly output_per_million: string
        } | null
      }[]
    }
  }
  /** Calls, tokens and spend of models in steps of time, by model or agent. */
  'GET /llm/usage': {
    path: object
    query: {
      readonly by?: 'model' | 'agent'
      readonly since?: string
      readonly until?: string
      readonly step_s?: number
    }
    body: undefined
    answer: {
      readonly since: string
      readonly until: string
      readonly step_s: number
      readonly total: {
        readonly calls: number
        readonly failed: number
        readonly prompt_tokens: number
        readonly completion_tokens: number
        readonly spent: string
      }
      readonly series: readonly {
        readonly name: string | null
        readonly points: readonly {
          readonly calls: number
          readonly failed: number
          readonly prompt_tokens: number
          readonly completion_tokens: number
          readonly spent: string
        }[]
      }[]
    }
  }
  /** Queue a scenario to be played for an agent through the live policy. */
  'POST /api/v1/agents/{id}/sandbox/run': {
    path: {
      readonly id: string
    }
    query: object
    body: {
      readonly scenario: {
        readonly name?: string
        /** when it plays; now, unless it says */
        readonly at?: string
        /** answers of look-ups, by name */
        readonly facts?: JsonObject
        /** what counters begin at, by guard id */
        readonly state?: Readonly<Record<string, string | number>>
        readonly actions: readonly {
          readonly tool: string
          readonly args?: JsonObject
          readonly resource?: {
            readonly type: string
            readonly id: string
          }
          readonly context?: JsonObject
          readonly reason?: string
          /** units of the budget currency, at most six decimals, such as "0.05" */
          readonly cost?: string | number
          readonly facts?: JsonObject
          readonly expect?: {
            readonly effect?: 'allow' | 'deny' | 'require_approval'
            readonly decision?: 'allow' | 'deny' | 'require_approval'
            readonly reason?: string
          }
        }[]
      }
    }
    answer: {
      readonly ok: true
      readonly run_id: string
      readonly status: 'queued'
    }
  }
  /** List the sandbox runs of an agent, newest first. */
  'GET /api/v1/agents/{id}/sandbox/runs': {
    path: {
      readonly id: string
    }
    query: {
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly runs: readonly {
        readonly run_id: string
        readonly agent: string
        readonly name: string
        readonly status: 'queued' | 'running' | 'passed' | 'failed' | 'error'
        readonly error?: string
        readonly steps: readonly JsonObject[]
        readonly revision: string | null
        readonly requested_by: string
        readonly attempts: number
        readonly created_at: string
        readonly started_at: string | null
        readonly finished_at: string | null
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Read a sandbox run, step by step. */
  'GET /api/v1/sandbox/runs/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly run_id: string
      readonly agent: string
      readonly name: string
      readonly status: 'queued' | 'running' | 'passed' | 'failed' | 'error'
      readonly error?: string
      readonly steps: readonly JsonObject[]
      readonly revision: string | null
      readonly requested_by: string
      readonly attempts: number
      readonly created_at: string
      readonly started_at: string | null
      readonly finished_at: string | null
    }
  }
  /** List reported actions, newest first; an agent sees its own. */
  'GET /api/v1/actions': {
    path: object
    query: {
      readonly agent?: string
      readonly type?: string
      readonly outcome?: 'success' | 'failure'
      readonly since?: string
      readonly until?: string
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly actions: readonly Report[]
      readonly next_cursor: string | null
    }
  }
  /** Account for an action an agent takes by itself, before it takes it. */
  'POST /api/v1/actions': {
    path: object
    query: object
    body: {
      /** id or name; an agent key reports for its own agent */
      readonly agent?: string
      readonly action_type: string
      readonly target?: string
      /** units of the budget currency, at most six decimals, such as "0.05" */
      readonly cost?: string | number
      readonly outcome?: 'success' | 'failure'
      readonly metadata?: JsonObject | string | null
    }
    answer: {
      readonly action: Report
      readonly budget: {
        readonly spent: string
        readonly limit: string | null
        readonly remaining: string | null
      }
    }
  }
  /** What an agent has spent in a month, of which budget, on what. */
  'GET /api/v1/agents/{id}/spend': {
    path: {
      readonly id: string
    }
    query: {
      readonly month?: string
    }
    body: undefined
    answer: {
      readonly agent: string
      readonly name: string
      readonly month: string
      readonly spent: string
      readonly reserved: string
      readonly limit: string | null
      readonly remaining: string | null
      readonly percent: number | null
      readonly by_type: readonly {
        readonly type: string
        readonly actions: number
        readonly failures: number
        readonly spent: string
      }[]
    }
  }
  /** What all agents have spent in a month, by agent and by type of action. */
  'GET /api/v1/spend': {
    path: object
    query: {
      readonly month?: string
    }
    body: undefined
    answer: {
      readonly month: string
      readonly spent: string
      readonly agents: readonly {
        readonly agent: string
        readonly name: string | null
        readonly spent: string
        readonly reserved: string
      }[]
      readonly by_type: readonly {
        readonly type: string
        readonly actions: number
        readonly failures: number
        readonly spent: string
      }[]
    }
  }
  /** What the budgets of guards stand at now, those nearest to their limits first. */
  'GET /budgets': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly budgets: readonly {
        readonly guard: string
        readonly period: 'day' | 'month' | 'total'
        readonly scope: 'agent' | 'tool' | 'role' | 'global'
        /** an agent id, a tool, a role, or `*` */
        readonly of: string
        /** of an agent */
        readonly name: string | null
        readonly limit: string
        readonly spent: string
        readonly reserved: string
        readonly remaining: string
        readonly percent: number
      }[]
    }
  }
  /** Find actions and approvals by id, agents and tools by a part of their names. */
  'GET /search': {
    path: object
    query: {
      readonly q: string
    }
    body: undefined
    answer: {
      readonly results: readonly {
        readonly type: 'action' | 'approval' | 'agent' | 'tool'
        /** of a tool, its name */
        readonly id: string
        readonly title: string
        /** state of an action or approval, owner of an agent, upstream of a tool */
        readonly detail: string
      }[]
    }
  }
  /** List recorded figures, newest first; an agent sees its own. */
  'GET /api/v1/metrics': {
    path: object
    query: {
      readonly agent?: string
      readonly agent_id?: string
      readonly metric_type?: string
      readonly since?: string
      readonly until?: string
      readonly limit?: number
      readonly cursor?: string
    }
    body: undefined
    answer: {
      readonly metrics: readonly {
        readonly id: string
        readonly agent: string
        readonly metric_type: string
        readonly value: number
        readonly unit: string
        readonly metadata: JsonObject
        readonly timestamp: string
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Record a figure of an agent. */
  'POST /api/v1/metrics': {
    path: object
    query: object
    body: {
      /** id or name; absent: the agent of the key */
      readonly agent?: string
      /** the same as `agent` */
      readonly agent_id?: string
      /** such as execution_time_ms, success, cost_usd, tokens */
      readonly metric_type: string
      readonly value: number
      readonly unit?: string
      readonly metadata?: JsonObject
      readonly timestamp?: string
    }
    answer: {
      readonly metric: {
        readonly id: string
        readonly agent: string
        readonly metric_type: string
        readonly value: number
        readonly unit: string
        readonly metadata: JsonObject
        readonly timestamp: string
      }
    }
  }
  /** Count, sum, mean, p50 and p95 per type, agent and period. */
  'GET /api/v1/metrics/aggregate': {
    path: object
    query: {
      readonly agent?: string
      readonly agent_id?: string
      readonly metric_type?: string
      readonly since?: string
      readonly until?: string
      readonly period?: 'hour' | 'day' | 'week' | 'month' | 'all'
      readonly by_agent?: boolean
    }
    body: undefined
    answer: {
      readonly period: 'hour' | 'day' | 'week' | 'month' | 'all'
      readonly aggregates: readonly {
        readonly agent: string | null
        readonly metric_type: string
        readonly period_start: string | null
        readonly count: number
        readonly sum: number
        readonly mean: number
        readonly min: number
        readonly max: number
        readonly p50: number
        readonly p95: number
      }[]
    }
  }
  /** All figures of one agent, by type, with its success rate. */
  'GET /api/v1/metrics/agent/{id}/summary': {
    path: {
      readonly id: string
    }
    query: {
      readonly since?: string
      readonly until?: string
    }
    body: undefined
    answer: {
      readonly agent: string
      readonly name: string
      readonly success_rate: number | null
      readonly metrics: Readonly<Record<string, {
        readonly count: number
        readonly sum: number
        readonly mean: number
        readonly min: number
        readonly max: number
        readonly p50: number
        readonly p95: number
      }>>
    }
  }
  /** Put an event of another system on the record. */
  'POST /api/v1/events/ingest': {
    path: object
    query: object
    body: {
      readonly event_type: string
      /** id or name; absent: the agent of the key */
      readonly agent?: string
      /** the same as `agent` */
      readonly agent_id?: string
      readonly agent_role?: string
      readonly operation?: string
      readonly decision?: 'allowed' | 'denied' | 'requires_approval'
      readonly target?: string
      readonly resources?: readonly string[]
      readonly reason?: string
      readonly timestamp?: string
      readonly metadata?: JsonObject
    }
    answer: {
      readonly event: {
        readonly id: string
        readonly event_type: string
        readonly agent: string | null
        readonly recorded_at: string
      }
    }
  }
  /** Query the record by agent, operation, decision and time; newest first. */
  'GET /api/v1/events/audit': {
    path: object
    query: {
      readonly agent?: string
      readonly agent_id?: string
      readonly since?: string
      readonly until?: string
      readonly operation?: string
      readonly decision?: 'allowed' | 'denied' | 'requires_approval'
      readonly kind?: string
      readonly limit?: number
      readonly cursor?: number
    }
    body: undefined
    answer: {
      readonly events: readonly {
        readonly id: number
        readonly timestamp: string
        readonly kind: string
        readonly agent_id: string | null
        readonly operation: string | null
        readonly decision: 'allowed' | 'denied' | 'requires_approval' | null
        readonly action_id: string | null
        readonly details: JsonObject
        readonly hash: string
      }[]
      readonly next_cursor: string | null
    }
  }
  /** Count the record by decision, kind, agent, operation and day. */
  'GET /api/v1/events/audit/stats': {
    path: object
    query: {
      readonly agent?: string
      readonly agent_id?: string
      readonly since?: string
      readonly until?: string
    }
    body: undefined
    answer: {
      readonly total: number
      readonly by_decision: Readonly<Record<string, number>>
      readonly by_kind: Readonly<Record<string, number>>
      readonly by_agent: Readonly<Record<string, number>>
      readonly by_operation: Readonly<Record<string, number>>
      readonly by_day: Readonly<Record<string, number>>
      readonly kept_days: number | null
    }
  }
  /** Whether a subject may do something to a resource (AuthZEN 1.0). */
  'POST /access/v1/evaluation': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly decision: boolean
      readonly context: JsonObject
    }
  }
  /** The same for several questions at once, by one policy. */
  'POST /access/v1/evaluations': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly decision: boolean
      readonly context: JsonObject
    } | {
      readonly evaluations: readonly {
        readonly decision: boolean
        readonly context: JsonObject
      }[]
    }
  }
  /** Each subject of a catalogue that would be permitted (AuthZEN 1.0). */
  'POST /access/v1/search/subject': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly results: readonly {
        readonly type?: string
        readonly id?: string
        readonly name?: string
      }[]
      readonly page: {
        readonly next_token: string
        readonly count: number
        readonly total?: number
      }
      readonly context: {
        readonly evaluation_id: string
        readonly revision: string
      }
    }
  }
  /** Each resource of a catalogue that would be permitted (AuthZEN 1.0). */
  'POST /access/v1/search/resource': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly results: readonly {
        readonly type?: string
        readonly id?: string
        readonly name?: string
      }[]
      readonly page: {
        readonly next_token: string
        readonly count: number
        readonly total?: number
      }
      readonly context: {
        readonly evaluation_id: string
        readonly revision: string
      }
    }
  }
  /** Each action of a catalogue that would be permitted (AuthZEN 1.0). */
  'POST /access/v1/search/action': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly results: readonly {
        readonly type?: string
        readonly id?: string
        readonly name?: string
      }[]
      readonly page: {
        readonly next_token: string
        readonly count: number
        readonly total?: number
      }
      readonly context: {
        readonly evaluation_id: string
        readonly revision: string
      }
    }
  }
  /** Where this gate answers AuthZEN requests. */
  'GET /.well-known/authzen-configuration': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly policy_decision_point: string
      readonly access_evaluation_endpoint: string
      readonly access_evaluations_endpoint: string
      readonly search_subject_endpoint: string
      readonly search_resource_endpoint: string
      readonly search_action_endpoint: string
      readonly access_request_endpoint: string
      readonly jwks_uri: string
      readonly supported_obligations: readonly string[]
      readonly capabilities: readonly string[]
    }
  }
  /** Ask people for what was denied (AuthZEN Access Request and Approval Profile). */
  'POST /access/v1/requests': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly task: {
        readonly id: string
        readonly status: string
        readonly status_endpoint: string
        readonly expires_at: string
        readonly links: {
          readonly cancel: string
        }
        readonly display: JsonObject
        readonly items?: readonly JsonObject[]
      }
      readonly result?: JsonObject
    }
  }
  /** How an access request stands; of an approved one, the approval to evaluate with. */
  'GET /access/v1/requests/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly task: {
        readonly id: string
        readonly status: string
        readonly status_endpoint: string
        readonly expires_at: string
        readonly links: {
          readonly cancel: string
        }
        readonly display: JsonObject
        readonly items?: readonly JsonObject[]
      }
      readonly result?: JsonObject
    }
  }
  /** Withdraw what of an access request still waits. */
  'POST /access/v1/requests/{id}/cancel': {
    path: {
      readonly id: string
    }
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly task: {
        readonly id: string
        readonly status: string
        readonly status_endpoint: string
        readonly expires_at: string
        readonly links: {
          readonly cancel: string
        }
        readonly display: JsonObject
        readonly items?: readonly JsonObject[]
      }
      readonly result?: JsonObject
    }
  }
  /** What tokens of denials and approvals are verified with (a JWK Set). */
  'GET /access/v1/jwks': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly keys: readonly JsonObject[]
    }
  }
  /** What an access request may say beside what was denied (a JSON Schema). */
  'GET /access/v1/request-schema': {
    path: object
    query: object
    body: undefined
    answer: JsonObject
  }
  /** Whether Claude Code may use a tool (PreToolUse hook). */
  'POST /hooks/claude-code': {
    path: object
    query: object
    body: {
      readonly hook_event_name: 'PreToolUse'
      readonly tool_name: string
      readonly tool_input: JsonObject
      readonly cwd?: string
      readonly session_id?: string
      readonly permission_mode?: string
      readonly [name: string]: Json | undefined
    }
    answer: {
      readonly hookSpecificOutput: {
        readonly hookEventName: 'PreToolUse'
        readonly permissionDecision: 'allow' | 'deny' | 'ask' | 'defer'
        readonly permissionDecisionReason: string
      }
    }
  }
  /** A document of the policy without a body. */
  'GET /v1/data/{path}': {
    path: {
      readonly path: string
    }
    query: {
      readonly pretty?: string
      readonly provenance?: string
      readonly explain?: string
      readonly metrics?: string
      readonly instrument?: string
      readonly 'strict-builtin-errors'?: string
      readonly input?: string
    }
    body: undefined
    answer: {
      readonly result?: Json
      readonly decision_id: string
      readonly explanation?: readonly Json[]
    }
  }
  /** A document of the policy for an input. */
  'POST /v1/data/{path}': {
    path: {
      readonly path: string
    }
    query: {
      readonly pretty?: string
      readonly provenance?: string
      readonly explain?: string
      readonly metrics?: string
      readonly instrument?: string
      readonly 'strict-builtin-errors'?: string
    }
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly result?: Json
      readonly decision_id: string
      readonly explanation?: readonly Json[]
    }
  }
  /** Refused. */
  'PUT /v1/data/{path}': {
    path: {
      readonly path: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** Refused. */
  'PATCH /v1/data/{path}': {
    path: {
      readonly path: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** Refused. */
  'DELETE /v1/data/{path}': {
    path: {
      readonly path: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** A document by itself; the body is the input. */
  'POST /v0/data/{path}': {
    path: {
      readonly path: string
    }
    query: {
      readonly pretty?: string
      readonly provenance?: string
      readonly explain?: string
      readonly metrics?: string
      readonly instrument?: string
      readonly 'strict-builtin-errors'?: string
    }
    body: readonly JsonObject[] | JsonObject
    answer: Json
  }
  /** Where things are; a browser is led to the dashboard. */
  'GET /': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly name: 'portcullis'
      readonly version: string
      readonly links: {
        readonly dashboard: string | null
        readonly reference: string
        readonly openapi: string
        readonly liveness: string
        readonly readiness: string
        readonly metrics: string
      }
    }
  }
  /** The default decision; the body is the input. */
  'POST /': {
    path: object
    query: {
      readonly pretty?: string
      readonly provenance?: string
      readonly explain?: string
      readonly metrics?: string
      readonly instrument?: string
      readonly 'strict-builtin-errors'?: string
    }
    body: readonly JsonObject[] | JsonObject
    answer: Json
  }
  /** A document for several inputs. */
  'POST /v1/batch/data/{path}': {
    path: {
      readonly path: string
    }
    query: {
      readonly pretty?: string
      readonly provenance?: string
      readonly explain?: string
      readonly metrics?: string
      readonly instrument?: string
      readonly 'strict-builtin-errors'?: string
    }
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly batch_decision_id: string
      readonly responses: JsonObject
    }
  }
  /** The Rego files of the live policy. */
  'GET /v1/policies': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly result: readonly {
        readonly id: string
        readonly raw: string
      }[]
    }
  }
  /** One of them. */
  'GET /v1/policies/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: {
      readonly result: {
        readonly id: string
        readonly raw: string
      }
    }
  }
  /** Refused. */
  'PUT /v1/policies/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** Refused. */
  'DELETE /v1/policies/{id}': {
    path: {
      readonly id: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** Not built. */
  'POST /v1/query': {
    path: object
    query: object
    body: undefined
    answer: never
  }
  /** Not built. */
  'POST /v1/compile': {
    path: object
    query: object
    body: undefined
    answer: never
  }
  /** Not built. */
  'POST /v1/compile/{path}': {
    path: {
      readonly path: string
    }
    query: object
    body: undefined
    answer: never
  }
  /** The live policy as a bundle for OPA. */
  'GET /bundles/{name}': {
    path: {
      readonly name: string
    }
    query: object
    body: undefined
    answer: string
  }
  /** Put decisions of an OPA on the record. */
  'POST /logs': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: JsonObject
  }
  /** The stream of a session: that a list has changed. */
  'GET /mcp': {
    path: object
    query: object
    body: undefined
    answer: string
  }
  /** One message of the Model Context Protocol, over Streamable HTTP. */
  'POST /mcp': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly jsonrpc: '2.0'
      readonly id: string | number
      readonly result: JsonObject
    } | {
      readonly jsonrpc: '2.0'
      readonly id?: string | number
      readonly error: {
        readonly code: number
        readonly message: string
        readonly data?: JsonObject
      }
    } | undefined
  }
  /** End a session. */
  'DELETE /mcp': {
    path: object
    query: object
    body: undefined
    answer: undefined
  }
  /** The stream of a session: that a list has changed. */
  'GET /mcp/tools': {
    path: object
    query: object
    body: undefined
    answer: string
  }
  /** One message of the Model Context Protocol, over Streamable HTTP. */
  'POST /mcp/tools': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly jsonrpc: '2.0'
      readonly id: string | number
      readonly result: JsonObject
    } | {
      readonly jsonrpc: '2.0'
      readonly id?: string | number
      readonly error: {
        readonly code: number
        readonly message: string
        readonly data?: JsonObject
      }
    } | undefined
  }
  /** End a session. */
  'DELETE /mcp/tools': {
    path: object
    query: object
    body: undefined
    answer: undefined
  }
  /** The stream of a session: that a list has changed. */
  'GET /mcp/portcullis': {
    path: object
    query: object
    body: undefined
    answer: string
  }
  /** One message of the Model Context Protocol, over Streamable HTTP. */
  'POST /mcp/portcullis': {
    path: object
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly jsonrpc: '2.0'
      readonly id: string | number
      readonly result: JsonObject
    } | {
      readonly jsonrpc: '2.0'
      readonly id?: string | number
      readonly error: {
        readonly code: number
        readonly message: string
        readonly data?: JsonObject
      }
    } | undefined
  }
  /** End a session. */
  'DELETE /mcp/portcullis': {
    path: object
    query: object
    body: undefined
    answer: undefined
  }
  /** The stream of a session: that a list has changed. */
  'GET /mcp/{server}': {
    path: {
      readonly server: string
    }
    query: object
    body: undefined
    answer: string
  }
  /** One message of the Model Context Protocol, over Streamable HTTP. */
  'POST /mcp/{server}': {
    path: {
      readonly server: string
    }
    query: object
    body: readonly JsonObject[] | JsonObject
    answer: {
      readonly jsonrpc: '2.0'
      readonly id: string | number
      readonly result: JsonObject
    } | {
      readonly jsonrpc: '2.0'
      readonly id?: string | number
      readonly error: {
        readonly code: number
        readonly message: string
        readonly data?: JsonObject
      }
    } | undefined
  }
  /** End a session. */
  'DELETE /mcp/{server}': {
    path: {
      readonly server: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** The MCP servers behind the gate: what they list, and how it is pinned. */
  'GET /mcp-servers': {
    path: object
    query: {
      readonly look?: boolean
    }
    body: undefined
    answer: {
      readonly servers: readonly {
        readonly name: string
        /** without its path, which may hold what is secret; null: the gate runs it */
        readonly url: string | null
        /** what the gate runs, without its args; null: it has an address */
        readonly program: string | null
        /** of a program; null: it does not run */
        readonly running_since: string | null
        /** null: it did not say yet */
        readonly era: 'modern' | 'legacy' | null
        /** when this gate asked for its list last */
        readonly asked_at: string | null
        /** why its list cannot be had */
        readonly error: string | null
        readonly tools: readonly {
          /** as the server calls it */
          readonly name: string
          /** as permissions, guards and the record call it */
          readonly policy_name: string
          readonly title: string | null
          readonly description: string
          /** by the policy; null: it is not pinned, and nobody can call it */
          readonly effect: 'read' | 'write' | 'irreversible' | null
          /** `unknown`: the list cannot be had, and nobody can call the tool meanwhile */
          readonly state: 'pinned' | 'changed' | 'not_pinned' | 'not_listed' | 'unknown'
          /** SHA-256 of the tool as a person saw it */
          readonly pinned: string | null
          /** SHA-256 of the tool as it is listed */
          readonly listed: string | null
          /** what is listed, where it is not what is pinned */
          readonly definition: JsonObject | null
        }[]
      }[]
    }
  }
  /** Whose tokens are taken at the gate (RFC 9728). */
  'GET /.well-known/oauth-protected-resource': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly resource: string
      readonly authorization_servers: readonly string[]
      readonly scopes_supported: readonly string[]
      readonly bearer_methods_supported: readonly string[]
      readonly resource_name: string
    }
  }
  /** Whose tokens are taken at `/mcp` (RFC 9728). */
  'GET /.well-known/oauth-protected-resource/mcp': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly resource: string
      readonly authorization_servers: readonly string[]
      readonly scopes_supported: readonly string[]
      readonly bearer_methods_supported: readonly string[]
      readonly resource_name: string
    }
  }
  /** Whose tokens are taken at `/mcp/{server}` (RFC 9728). */
  'GET /.well-known/oauth-protected-resource/mcp/{server}': {
    path: {
      readonly server: string
    }
    query: object
    body: undefined
    answer: {
      readonly resource: string
      readonly authorization_servers: readonly string[]
      readonly scopes_supported: readonly string[]
      readonly bearer_methods_supported: readonly string[]
      readonly resource_name: string
    }
  }
  /** Who is signed in, and until when. */
  'GET /ui/session': {
    path: object
    query: object
    body: undefined
    answer: {
      readonly key_id: string
      readonly name: string
      readonly role: 'observer' | 'approver' | 'operator' | 'admin'
      /** null: asked with a key, which needs no session */
      readonly expires_at: string | null
    }
  }
  /** Sign in: a cookie of this browser in place of an API key. */
  'POST /ui/session': {
    path: object
    query: object
    body: {
      readonly key: string
    }
    answer: {
      readonly key_id: string
      readonly name: string
      readonly role: 'observer' | 'approver' | 'operator' | 'admin'
      /** null: asked with a key, which needs no session */
      readonly expires_at: string | null
    }
  }
  /** Sign out, here or everywhere. */
  'DELETE /ui/session': {
    path: object
    query: {
      readonly everywhere?: boolean
    }
    body: undefined
    answer: undefined
  }
  /** Whether Envoy may pass an HTTP call of an agent on. */
  'GET /ext-authz/{upstream}/{path}': {
    path: {
      readonly upstream: string
      readonly path: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Whether Envoy may pass an HTTP call of an agent on. */
  'POST /ext-authz/{upstream}/{path}': {
    path: {
      readonly upstream: string
      readonly path: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Whether Envoy may pass an HTTP call of an agent on. */
  'PUT /ext-authz/{upstream}/{path}': {
    path: {
      readonly upstream: string
      readonly path: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Whether Envoy may pass an HTTP call of an agent on. */
  'PATCH /ext-authz/{upstream}/{path}': {
    path: {
      readonly upstream: string
      readonly path: string
    }
    query: object
    body: undefined
    answer: undefined
  }
  /** Whether Envoy may pass an HTTP call of an agent on. */
  'DELETE /ext-authz/{upstream}/{path}': {
    path: {
      readonly upstream: string
      readonly path: string
    }
    query: object
    body: undefined
    answer: undefined
  }
}
