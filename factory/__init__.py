"""The Factory Service's room: carries packages down and log pages up, and has to be trusted with nothing."""
