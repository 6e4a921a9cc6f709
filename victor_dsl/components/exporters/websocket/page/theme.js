// Sets the chosen theme before anything is drawn, so that a dark page does not flash white.
const chosen = localStorage.getItem("victor-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
