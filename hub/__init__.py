"""The hub: the web application that takes what systems push, and shows people where things stand and what waits for them."""
