import { useEffect } from 'preact/hooks'

/** Does something again and again for as long as it is wanted. */
export function useEvery(ms: number, isWanted: boolean, run: () => Promise<void> | void): void {
  useEffect(() => {
    if (!isWanted) return undefined
    const timer = setInterval(() => void run(), ms)
    return () => clearInterval(timer)
  }, [isWanted])
}
