import type { CallResult } from '../http/exchange.ts'

/** The built-in tool that a call of the model is, and the upstream behind it. */
export const MODEL_TOOL = 'llm.chat'
export const MODEL_UPSTREAM = 'llm'

/** A call of a tool as the model proposes it. `args` is the model's text: it may be anything. */
export interface ProposedCall {
  readonly id: string
  readonly name: string
  readonly args: string
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly tool_calls?: readonly {
    readonly id: string
    readonly name: string
    readonly arguments: string
  }[]
  readonly tool_call_id?: string
}

export interface TokenUsage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** What a model answered, reduced to what is judged: nothing else of its answer is passed on. */
export interface Completion {
  readonly model: string
  readonly text: string
  readonly calls: readonly ProposedCall[]
  readonly finishReason: string
  /** Null when the model did not say, or said what cannot be. */
  readonly usage: TokenUsage | null
}

/** What came of one call of the model: the exchange, and the client's reading of a good answer. */
export interface ModelResult {
  readonly call: CallResult
  /** Undefined when there was no answer, or none that is JSON. Its shape is not checked yet. */
  readonly answer: unknown
}
