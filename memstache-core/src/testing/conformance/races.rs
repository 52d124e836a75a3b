super::rules![];
