import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import type { Checkpoint } from '../model/audit.ts'
import { bytesOfBase64 } from './base64.ts'
import { sha256 } from './canonical.ts'

type Kind = 'checkpoint' | 'archive'

/** The signed text of a checkpoint or an archive. */
function statement(kind: Kind, of: Omit<Checkpoint, 'signature' | 'keyId'>): Buffer {
  const { size, head, at } = of
  return Buffer.from(`portcullis-${kind}/v1\n${size}\n${head}\n${at}\n`)
}

/** First 16 hex digits of the SHA-256 of the public key's DER form. */
export function keyIdOf(publicKey: KeyObject): string {
  return sha256(publicKey.export({ type: 'spki', format: 'der' })).slice(0, 16)
}

export function signCheckpoint(
  checkpoint: { readonly size: bigint; readonly head: string; readonly at: string },
  privateKey: KeyObject,
  kind: Kind = 'checkpoint',
): Checkpoint {
  const signature = sign(null, statement(kind, checkpoint), privateKey).toString('base64')
  return { ...checkpoint, keyId: keyIdOf(createPublicKey(privateKey)), signature }
}

export function verifyCheckpoint(
  checkpoint: Checkpoint,
  publicKey: KeyObject,
  kind: Kind = 'checkpoint',
): boolean {
  const signature = bytesOfBase64(checkpoint.signature)
  if (!signature) return false
  return verify(null, statement(kind, checkpoint), publicKey, signature)
}

/** Checkpoints as `DATA_DIR/checkpoints.jsonl` holds them; a torn line is passed over. */
export function parseCheckpoints(text: string): Checkpoint[] {
  return text.split('\n').flatMap((line) => {
    try {
      const raw = JSON.parse(line) as Omit<Checkpoint, 'size'> & { size: number }
      return [{ ...raw, size: BigInt(raw.size) }]
    } catch {
      return []
    }
  })
}
