// Datasette's table script asks for this; a policy of ours runs no script that stands inside a page.
window.DATASETTE_ALLOW_FACET = true;
