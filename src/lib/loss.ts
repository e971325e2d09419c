import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import type { AuditEntry, Checkpoint, Loss } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { bytesOfBase64 } from './base64.ts'
import { sha256 } from './canonical.ts'
import { keyIdOf } from './checkpoint.ts'

// A database restored from a backup has fewer entries than were signed. Somebody has to say so: the entry
// `audit.loss_accepted` names what is gone and carries the signature of the key that signed it, which whoever
// owns only the database does not have. From then on verification shows the loss instead of a broken record.

/** Kind of the entry that a loss is put on record with. */
export const LOSS_KIND = 'audit.loss_accepted'

function statement(loss: Omit<Loss, 'signature' | 'keyId'>): Buffer {
  const { lostSize, lostHead, size, head, at, reason } = loss
  const parts = ['portcullis-loss/v1', lostSize, lostHead, size, head, at, sha256(reason)]
  return Buffer.from(`${parts.join('\n')}\n`)
}

export function signLoss(loss: Omit<Loss, 'signature' | 'keyId'>, privateKey: KeyObject): Loss {
  const signature = sign(null, statement(loss), privateKey).toString('base64')
  return { ...loss, keyId: keyIdOf(createPublicKey(privateKey)), signature }
}

export function verifyLoss(loss: Loss, publicKey: KeyObject): boolean {
  const signature = bytesOfBase64(loss.signature)
  return signature !== undefined && verify(null, statement(loss), publicKey, signature)
}

/** Whether the entries that the checkpoint counted are among those that are gone. */
export function isLost(checkpoint: Checkpoint, losses: readonly Loss[]): boolean {
  return losses.some(
    ({ size, lostSize, at }) =>
      checkpoint.size > size && checkpoint.size <= lostSize && checkpoint.at <= at,
  )
}

export function lossDetail(loss: Loss): JsonObject {
  return {
    lost_size: Number(loss.lostSize),
    lost_head: loss.lostHead,
    size: Number(loss.size),
    head: loss.head,
    accepted_at: loss.at,
    reason: loss.reason,
    key_id: loss.keyId,
    signature: loss.signature,
  }
}

/** The loss that an entry records; undefined for any other entry, and for one that is not of this form. */
export function lossOf(entry: Pick<AuditEntry, 'kind' | 'body'>): Loss | undefined {
  if (entry.kind !== LOSS_KIND) return undefined
  try {
    const body = JSON.parse(entry.body) as Record<string, unknown>
    const text = (name: string) => String(body[name])
    return {
      lostSize: BigInt(text('lost_size')),
      lostHead: text('lost_head'),
      size: BigInt(text('size')),
      head: text('head'),
      at: text('accepted_at'),
      reason: text('reason'),
      keyId: text('key_id'),
      signature: text('signature'),
    }
  } catch {
    return undefined
  }
}
