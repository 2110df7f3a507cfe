install(DIRECTORY data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rollcall/data)
install(DIRECTORY migrations/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rollcall/migrations FILES_MATCHING PATTERN "*.sql")
install(DIRECTORY packaging/systemd/ DESTINATION lib/systemd/system FILES_MATCHING PATTERN "*.service")
