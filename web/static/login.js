// The one-time key is in the address behind the #, which no server and no log ever sees. It is taken out of the
// address and sent as the form would send it.
const given = new URLSearchParams(location.hash.slice(1)).get("key");
const field = document.getElementById("key");
if (given && field) {
  history.replaceState(null, "", location.pathname + location.search);
  field.value = given;
  document.getElementById("login").requestSubmit();
}
