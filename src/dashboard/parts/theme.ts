import { signal } from '@preact/signals'

// Light or dark, as somebody chose it in this browser; `before-paint.js` reads it before the page is drawn.

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
const STORED = 'portcullis.theme'

function stored(): Theme {
  try {
    const kept = localStorage.getItem(STORED)
    return THEMES.find((one) => one === kept) ?? 'system'
  } catch {
    return 'system' // a browser that keeps nothing
  }
}

export const theme = signal(stored())

export function setTheme(chosen: Theme): void {
  theme.value = chosen
  document.documentElement.style.colorScheme = chosen === 'system' ? '' : chosen
  try {
    localStorage.setItem(STORED, chosen)
  } catch {
    // It holds until the page is left.
  }
}
