# What `make install` puts where, besides the programs that each room installs itself.
include(GNUInstallDirs)
install(DIRECTORY data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rollcall/data OPTIONAL)
install(DIRECTORY migrations/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rollcall/migrations FILES_MATCHING PATTERN "*.sql")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md ARCHITECTURE.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

# The units name the programs by where they were installed, whatever prefix `cmake --install` was given.
set(units ${CMAKE_SOURCE_DIR}/packaging/systemd)
install(CODE "
	set(CMAKE_INSTALL_FULL_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
	set(CMAKE_INSTALL_FULL_DOCDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}\")
	foreach(service coordinator worker)
		configure_file(${units}/rollcall-\${service}.service.in
			\"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/rollcall-\${service}.service\" @ONLY)
		message(STATUS \"Installing: \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/rollcall-\${service}.service\")
	endforeach()
")
