// Sets the theme that was chosen before anything is drawn, so that a dark page does not begin with a flash of white.
const chosen = localStorage.getItem("victor-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
