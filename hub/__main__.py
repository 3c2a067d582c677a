from hub.command import main

main()
