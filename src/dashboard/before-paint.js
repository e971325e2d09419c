// Runs before anything is drawn, which the page's modules do not: whoever chose a theme must not see the other one first.
try {
  const chosen = localStorage.getItem('portcullis.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.style.colorScheme = chosen
} catch {
  // a browser that keeps nothing
}
