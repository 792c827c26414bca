// A page that was opened as a file may not read its neighbours, which is where search results get their excerpts from.
// The titles come from the index, which is a script and may be read. So from a file there are titles only.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
