package main

func main() { childMain() }
